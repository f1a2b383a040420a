//! Step 2: most of it actors.
//!
//! axum still takes the requests, on tokio. A handler starts an actor and awaits it; what it does is
//! straight-line code. Each feed is an actor, and one more, the hub, knows them all.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use smarm::channel::{Receiver, Sender, bounded, channel, oneshot};
use smarm::with_timeout;
use smarm_compat::await_future;
use smarm_migration::Failure;
use smarm_migration::answer::{Answer, Answered, Refusal, target};
use smarm_migration::links::{Link, Links};
use smarm_migration::setup::{BACKLOG, QUESTIONS, Setup, stop_signal};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut setup = Setup::from_args()?;
    let stop = stop_signal()?;
    let listener = TcpListener::bind(setup.address).await?;

    let actors = smarm_compat::attach(&Handle::current())?;
    let (questions, inbox) = bounded(QUESTIONS);
    let links = Links::open(&setup.database)?;
    let database = actors.spawn(move || answer(links, &inbox))?;
    let (news, inbox) = channel();
    let hub = actors.spawn(move || tell_feeds(&inbox))?;
    let (open, mut all_closed) = channel();
    let app = Shared::new(App {
        questions,
        news,
        open,
        titles: reqwest::Client::new(),
        titles_url: setup.titles.clone(),
        patience: setup.patience,
        actors: actors.handle(),
    });
    let router = Router::new()
        .route(
            "/links",
            post(|State(app): State<Shared>, body: Bytes| act(app, move |app| create(app, &body))),
        )
        .route("/links/{code}", get(|State(app), Path(code)| act(app, |app| find(app, code))))
        .route("/links/{code}/title", get(|State(app), Path(code)| act(app, |app| title(app, code))))
        .route("/{code}", get(|State(app), Path(code)| act(app, |app| visit(app, code))))
        .route("/feed", get(feed))
        .fallback(async || Refusal::Unknown)
        .method_not_allowed_fallback(async || Refusal::Method)
        .with_state(app);

    setup.listening(listener.local_addr()?)?;
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    // With the router the last senders of questions and news are gone. So the database ends, and the hub,
    // and with it the feeds.
    let Err(_) = all_closed.recv_async().await;
    hub.await?;
    database.await?;
    setup.finish()
}

type Shared = Arc<App>;

struct App {
    questions: Sender<Question>,
    news: Sender<News>,
    /// Each feed holds one: when all are gone, so are the feeds.
    open: Sender<Infallible>,
    titles: reqwest::Client,
    titles_url: String,
    patience: Duration,
    actors: smarm::Handle,
}

/// Does a request's work in an actor.
fn act<F>(app: Shared, work: F) -> impl Future<Output = Answered> + Send
where
    F: FnOnce(&App) -> Answered + Send + 'static,
{
    let actor = app.actors.clone().spawn(move || work(&app));
    async {
        let actor = actor.map_err(|error| Refusal::Broken(error.to_string()))?;
        actor.await.map_err(|error| Refusal::Broken(error.to_string()))?
    }
}

/// To the database: what, and where the answer goes.
enum Question {
    Create(String, Reply<String>),
    Find(String, Reply<Option<Link>>),
    Visit(String, Reply<Option<String>>),
}

type Reply<T> = oneshot::Sender<rusqlite::Result<T>>;

/// The actor of the database.
fn answer(mut links: Links, inbox: &Receiver<Question>) {
    // Nobody is there for an answer when the client has hung up.
    for question in inbox {
        match question {
            Question::Create(target, reply) => drop(reply.send(links.create(&target))),
            Question::Find(code, reply) => drop(reply.send(links.find(&code))),
            Question::Visit(code, reply) => drop(reply.send(links.visit(&code))),
        }
    }
}

/// To the hub.
enum News {
    /// A new feed.
    Feed(Sender<Arc<str>>),
    Event(Arc<str>),
}

/// The hub.
fn tell_feeds(inbox: &Receiver<News>) {
    let mut feeds: Vec<Sender<Arc<str>>> = Vec::new();
    for news in inbox {
        match news {
            News::Feed(feed) => feeds.push(feed),
            // A feed that has ended, or that is too slow, is told no more.
            News::Event(event) => feeds.retain(|feed| feed.try_send(event.clone()).is_ok()),
        }
    }
}

impl App {
    fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, Refusal> {
        let stopped = || Refusal::Broken("the database has stopped".into());
        let (reply, answered) = oneshot::channel();
        self.questions.send(question(reply)).map_err(|_| stopped())?;
        Ok(answered.recv().map_err(|_| stopped())??)
    }

    fn tell(&self, event: String) {
        // The hub outlives the app.
        let (Ok(()) | Err(_)) = self.news.send(News::Event(event.into()));
    }
}

fn create(app: &App, body: &[u8]) -> Answered {
    let target = target(body)?;
    let code = app.ask(|reply| Question::Create(target.clone(), reply))?;
    app.tell(format!("created {code} {target}"));
    Ok(Answer::Created(code))
}

fn find(app: &App, code: String) -> Answered {
    let link = app.ask(|reply| Question::Find(code, reply))?;
    Ok(Answer::Link(link.ok_or(Refusal::Unknown)?))
}

fn visit(app: &App, code: String) -> Answered {
    let target = app.ask(|reply| Question::Visit(code.clone(), reply))?.ok_or(Refusal::Unknown)?;
    app.tell(format!("visited {code}"));
    Ok(Answer::Redirect(target))
}

fn title(app: &App, code: String) -> Answered {
    let link = app.ask(|reply| Question::Find(code, reply))?.ok_or(Refusal::Unknown)?;
    match with_timeout(app.patience, || ask_title(app, link.target)) {
        Ok(Ok(title)) => Ok(Answer::Title(title)),
        Ok(Err(_)) => Err(Refusal::TitlesFailed),
        Err(_) => Err(Refusal::TitlesLate),
    }
}

fn ask_title(app: &App, target: String) -> reqwest::Result<String> {
    let asked = app.titles.post(&app.titles_url).body(target);
    await_future(async { asked.send().await?.error_for_status()?.text().await })
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

async fn feed(State(app): State<Shared>, upgrade: Upgrade) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|_| Refusal::NoWebSocket)?;
    let (events, inbox) = bounded(BACKLOG);
    // From here on, and not from the first message: the client may act as soon as it has the answer.
    app.news.send(News::Feed(events)).map_err(|_| Refusal::Broken("the hub has stopped".into()))?;
    let (actors, open) = (app.actors.clone(), app.open.clone());
    Ok(upgrade.on_upgrade(async move |socket| {
        let feed = actors.spawn(move || {
            serve_feed(socket, inbox);
            drop(open);
        });
        drop(feed); // it runs on
    }))
}

/// The actor of a feed.
fn serve_feed(mut socket: WebSocket, mut inbox: Receiver<Arc<str>>) {
    loop {
        let next = await_future(async {
            tokio::select! {
                event = inbox.recv_async() => Next::Event(event.ok()),
                // Pings are answered in here.
                message = socket.recv() => Next::Message(message),
            }
        });
        match next {
            Next::Event(Some(event)) => {
                if await_future(socket.send(Message::text(&*event))).is_err() {
                    return;
                }
            }
            Next::Event(None) => break, // the service stops, or this feed was too slow
            Next::Message(Some(Ok(_))) => {}
            Next::Message(Some(Err(_)) | None) => return,
        }
    }
    // The client may be gone.
    let (Ok(()) | Err(_)) = await_future(socket.send(Message::Close(None)));
}

enum Next {
    Event(Option<Arc<str>>),
    Message(Option<Result<Message, axum::Error>>),
}
