//! Step 3: smarm alone on its own sockets, and tokio only where a library needs it.
//!
//! An actor for each connection reads requests and does them, by the same straight-line code as in step 2.
//! What asks for titles is still reqwest, on the tokio runtime that each worker has.

mod feed;
mod http;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Connection, Request, Unread};
use smarm::cancel::{shield, with_cancel};
use smarm::channel::{Receiver, Sender, bounded, channel, oneshot};
use smarm::net::{TcpListener, TcpStream};
use smarm::{CancelToken, Handle, with_timeout};
use smarm_compat::await_future;
use smarm_migration::Failure;
use smarm_migration::answer::{Answer, Answered, Refusal, target};
use smarm_migration::links::{Link, Links};
use smarm_migration::setup::{BACKLOG, QUESTIONS, Setup, stop_signal};

fn main() -> Result<(), Failure> {
    smarm_compat::run(serve)
}

fn serve() -> Result<(), Failure> {
    let mut setup = Setup::from_args()?;
    let stop = stop_signal()?;
    let listener = TcpListener::bind(setup.address)?;
    let address = listener.local_addr()?;

    let (questions, inbox) = bounded(QUESTIONS);
    let links = Links::open(&setup.database)?;
    let database = smarm::spawn(move || answer(links, &inbox));
    let (news, inbox) = channel();
    let hub = smarm::spawn(move || tell_feeds(&inbox));
    let (open, all_closed) = channel();
    let app = || App {
        questions: questions.clone(),
        news: news.clone(),
        open: open.clone(),
        titles: reqwest::Client::new(),
        titles_url: setup.titles.clone(),
        patience: setup.patience,
    };
    // One for each worker: the connections to the service of titles belong to the runtime of one.
    let apps: Vec<_> = (0..Handle::current().workers()).map(|_| Shared::new(app())).collect();
    drop((questions, news, open));

    let stopping = CancelToken::new();
    let until = stopping.clone();
    // The connections that it starts are in this scope, too.
    let acceptor = smarm::spawn(move || with_cancel(&until, || accept(&listener, &apps)));
    setup.listening(address)?;
    await_future(stop);
    stopping.cancel();
    acceptor.join()??;
    // With the last connection the last senders of questions and news are gone. So the database ends, and
    // the hub, and with it the feeds.
    let Err(_) = all_closed.recv();
    hub.join()?;
    database.join()?;
    setup.finish()
}

/// Starts an actor for each connection, on each worker in turn: it stays there.
fn accept(listener: &TcpListener, apps: &[Shared]) {
    for (worker, app) in apps.iter().enumerate().cycle() {
        let accepted = listener.accept();
        if smarm::cancel::check().is_err() {
            return;
        }
        let app = app.clone();
        let started = accepted.and_then(|(stream, _)| {
            let actor = smarm::Builder::new().worker(worker).spawn(move || serve_connection(stream, app));
            actor.map_err(io::Error::other)
        });
        if let Err(error) = started {
            eprintln!("a connection was lost: {error}");
            // If descriptors or memory have run out: connections that end give some back.
            smarm::sleep(Duration::from_millis(10));
        }
    }
}

/// The actor of a connection. A client that has gone, or takes no answer, is no news to anybody.
fn serve_connection(stream: TcpStream, app: Shared) {
    let Ok(mut connection) = Connection::new(stream) else { return };
    // The service may stop between two requests, and not within one.
    while let Ok(true) = connection.wait() {
        let served = shield(|| serve_request(&mut connection, &app));
        match served {
            Ok(Served::Answered) => {}
            Ok(Served::Upgraded(key, events)) => {
                let open = app.open.clone();
                drop(app);
                if let Ok((stream, early)) = connection.upgrade(&key) {
                    shield(|| feed::serve(stream, early, events));
                }
                return drop(open);
            }
            Ok(Served::Last) | Err(_) => return,
        }
    }
}

enum Served {
    Answered,
    Last,
    /// With the client's key: a feed of these events is wanted.
    Upgraded(String, Receiver<Arc<str>>),
}

fn serve_request(connection: &mut Connection, app: &App) -> io::Result<Served> {
    let mut request = match connection.read() {
        Ok(request) => request,
        Err(Unread::Refused(status)) => return connection.refuse(status).map(|()| Served::Last),
        Err(Unread::Failed(error)) => return Err(error),
    };
    let answered = match (request.target.as_str(), request.web_socket.take()) {
        ("/feed", Some(key)) if request.method == "GET" => {
            let (events, inbox) = bounded(BACKLOG);
            // From here on, and not from the first message: the client may act as soon as it has the answer.
            match app.news.send(News::Feed(events)) {
                Ok(()) => return Ok(Served::Upgraded(key, inbox)),
                Err(_) => Err(Refusal::Broken("the hub has stopped".into())),
            }
        }
        _ => route(app, &request),
    };
    connection.answer(&answered, &request)?;
    Ok(if request.is_last { Served::Last } else { Served::Answered })
}

fn route(app: &App, request: &Request) -> Answered {
    let path = request.target.split('?').next().unwrap_or_default();
    let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
    let get = |done: &dyn Fn() -> Answered| match request.method.as_str() {
        "GET" | "HEAD" => done(),
        _ => Err(Refusal::Method),
    };
    match [(); 4].map(|()| parts.next()) {
        [Some("links"), None, ..] if request.method == "POST" => create(app, &request.body),
        [Some("links"), None, ..] => Err(Refusal::Method),
        [Some("feed"), None, ..] => get(&|| Err(Refusal::NoWebSocket)),
        [Some("links"), Some(code), None, ..] if !code.is_empty() => get(&|| find(app, code.into())),
        [Some("links"), Some(code), Some("title"), None] => get(&|| title(app, code.into())),
        [Some(code), None, ..] if !code.is_empty() => get(&|| visit(app, code.into())),
        _ => Err(Refusal::Unknown),
    }
}

type Shared = Arc<App>;

struct App {
    questions: Sender<Question>,
    news: Sender<News>,
    /// Each connection holds one: when all are gone, so are the connections.
    open: Sender<Infallible>,
    titles: reqwest::Client,
    titles_url: String,
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
