//! Step 1: an actor beside tokio.
//!
//! The database's thread has become an actor. All else is as in step 0.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use smarm::channel::{Receiver, Sender, bounded, oneshot};
use smarm_migration::Failure;
use smarm_migration::answer::{Answer, Answered, Refusal, target};
use smarm_migration::links::{Link, Links};
use smarm_migration::setup::{BACKLOG, QUESTIONS, Setup, stop_signal};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut setup = Setup::from_args()?;
    let stop = stop_signal()?;
    let listener = TcpListener::bind(setup.address).await?;

    let actors = smarm_compat::attach(&Handle::current())?;
    let (questions, inbox) = bounded(QUESTIONS);
    let links = Links::open(&setup.database)?;
    let database = actors.spawn(move || answer(links, &inbox))?;
    let (events, _) = broadcast::channel(BACKLOG);
    let (open, mut all_closed) = mpsc::channel(1);
    let app = App {
        questions,
        events,
        open,
        titles: reqwest::Client::new(),
        titles_url: setup.titles.as_str().into(),
        patience: setup.patience,
    };
    let router = Router::new()
        .route("/links", post(create))
        .route("/links/{code}", get(find))
        .route("/links/{code}/title", get(title))
        .route("/{code}", get(visit))
        .route("/feed", get(feed))
        .fallback(async || Refusal::Unknown)
        .method_not_allowed_fallback(async || Refusal::Method)
        .with_state(app);

    setup.listening(listener.local_addr()?)?;
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    // With the router the last sender of events is gone: the feeds close, and the database's actor ends.
    let None = all_closed.recv().await;
    database.await?;
    setup.finish()
}

#[derive(Clone)]
struct App {
    questions: Sender<Question>,
    events: broadcast::Sender<Arc<str>>,
    /// Each feed holds one: when all are gone, so are the feeds.
    open: mpsc::Sender<Infallible>,
    titles: reqwest::Client,
    titles_url: Arc<str>,
    patience: Duration,
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

impl App {
    async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, Refusal> {
        let stopped = || Refusal::Broken("the database has stopped".into());
        let (reply, answered) = oneshot::channel();
        self.questions.send_async(question(reply)).await.map_err(|_| stopped())?;
        Ok(answered.await.map_err(|_| stopped())??)
    }

    fn tell(&self, event: String) {
        // Nobody listens: then there is nobody to tell.
        let (Ok(_) | Err(_)) = self.events.send(event.into());
    }
}

async fn create(State(app): State<App>, body: Bytes) -> Answered {
    let target = target(&body)?;
    let code = app.ask(|reply| Question::Create(target.clone(), reply)).await?;
    app.tell(format!("created {code} {target}"));
    Ok(Answer::Created(code))
}

async fn find(State(app): State<App>, Path(code): Path<String>) -> Answered {
    let link = app.ask(|reply| Question::Find(code, reply)).await?;
    Ok(Answer::Link(link.ok_or(Refusal::Unknown)?))
}

async fn visit(State(app): State<App>, Path(code): Path<String>) -> Answered {
    let target = app.ask(|reply| Question::Visit(code.clone(), reply)).await?.ok_or(Refusal::Unknown)?;
    app.tell(format!("visited {code}"));
    Ok(Answer::Redirect(target))
}

async fn title(State(app): State<App>, Path(code): Path<String>) -> Answered {
    let link = app.ask(|reply| Question::Find(code, reply)).await?.ok_or(Refusal::Unknown)?;
    match timeout(app.patience, ask_title(&app, link.target)).await {
        Ok(Ok(title)) => Ok(Answer::Title(title)),
        Ok(Err(_)) => Err(Refusal::TitlesFailed),
        Err(_) => Err(Refusal::TitlesLate),
    }
}

async fn ask_title(app: &App, target: String) -> reqwest::Result<String> {
    let asked = app.titles.post(&*app.titles_url).body(target);
    asked.send().await?.error_for_status()?.text().await
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

async fn feed(State(app): State<App>, upgrade: Upgrade) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|_| Refusal::NoWebSocket)?;
    // From here on, and not from the first message: the client may act as soon as it has the answer.
    let events = app.events.subscribe();
    let open = app.open;
    Ok(upgrade.on_upgrade(async |socket| {
        serve_feed(socket, events).await;
        drop(open);
    }))
}

async fn serve_feed(mut socket: WebSocket, mut events: broadcast::Receiver<Arc<str>>) {
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => if socket.send(Message::text(&*event)).await.is_err() { return },
                Err(_) => break, // the service stops, or this feed was too slow
            },
            // Pings are answered in here.
            message = socket.recv() => match message {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
    // The client may be gone.
    let (Ok(()) | Err(_)) = socket.send(Message::Close(None)).await;
}
