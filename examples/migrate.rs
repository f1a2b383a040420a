//! An axum service on tokio that moves to smarm handler by handler.
//!
//! `/price` is as it was: async. `/quote` asks an actor, in whose straight-line code tokio's timers
//! and a tokio HTTP client go on working.
//!
//! | command | does |
//! |---|---|
//! | `cargo run --example migrate [-- --check]` | serves on a free port, asks itself, prints the answers, ends |
//! | `cargo run --release --example migrate serve [ADDRESS]` | serves on 127.0.0.1:8080 until it is killed |

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use smarm::channel::{Receiver, Sender, bounded, oneshot};
use smarm_compat::{await_future, await_timeout};
use tokio::net::TcpListener;

type Failure = Box<dyn Error + Send + Sync>;

/// A question to the actor: where to send the answer.
type Question = oneshot::Sender<Result<String, String>>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // In place of `#[tokio::main]`. The closure is an actor; where it used to `.await`, it calls
    // `await_future`.
    smarm_compat::run(|| match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["--check"] => {
            let listener = await_future(TcpListener::bind("127.0.0.1:0"))?;
            let url = format!("http://{}", listener.local_addr()?);
            // As before: the service is a task. It ends when `run` returns.
            tokio::spawn(serve(listener));
            check(&url)
        }
        ["serve", ref addr @ ..] => {
            let addr = *addr.first().unwrap_or(&"127.0.0.1:8080");
            let listener = await_future(TcpListener::bind(addr))?;
            println!("serving http://{addr}/price and http://{addr}/quote");
            await_future(serve(listener))
        }
        _ => Err("usage: migrate [--check | serve [ADDRESS]]".into()),
    })
}

async fn serve(listener: TcpListener) -> Result<(), Failure> {
    let price_url = format!("http://{}/price", listener.local_addr()?);
    let (questions, inbox) = bounded(64);
    drop(smarm::Builder::new().name("quotes").spawn(move || quotes(&inbox, &price_url))?);
    let app = Router::new().route("/price", get(price)).route("/quote", get(quote)).with_state(questions);
    Ok(axum::serve(listener, app).await?)
}

/// A handler that did not move.
async fn price() -> &'static str {
    "42"
}

/// A handler whose work an actor does. Async code sends to actors with `send_async`, and awaits
/// what they send back.
async fn quote(State(questions): State<Sender<Question>>) -> (StatusCode, String) {
    let (answer, answered) = oneshot::channel();
    if questions.send_async(answer).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no quotes any more\n".into());
    }
    match answered.await {
        Ok(Ok(quote)) => (StatusCode::OK, quote),
        Ok(Err(error)) => (StatusCode::BAD_GATEWAY, error),
        Err(gone) => (StatusCode::INTERNAL_SERVER_ERROR, gone.to_string()),
    }
}

/// The actor: no `async` from here on, and state that needs no lock.
fn quotes(inbox: &Receiver<Question>, price_url: &str) {
    let client = reqwest::Client::new();
    for (index, answer) in (1..).zip(inbox) {
        let (client, price_url) = (client.clone(), price_url.to_owned());
        // Each quote is an actor of its own, on any worker, so that none waits for another.
        drop(smarm::spawn(move || {
            let price = ask_price(&client, &price_url).map_err(|error| error.to_string());
            // The client may have given up meanwhile.
            let _ = answer.send(price.map(|price| format!("quote {index}: {price}\n")));
        }));
    }
}

fn ask_price(client: &reqwest::Client, url: &str) -> Result<String, Failure> {
    // Any future can be waited for, also such as need tokio.
    await_future(tokio::time::sleep(Duration::from_millis(5)));
    await_timeout(Duration::from_secs(2), get_text(client, url))?
}

async fn get_text(client: &reqwest::Client, url: &str) -> Result<String, Failure> {
    Ok(client.get(url).send().await?.error_for_status()?.text().await?)
}

/// Asks the service as a client would.
fn check(url: &str) -> Result<(), Failure> {
    let client = reqwest::Client::new();
    for (path, expected) in [("price", "42"), ("quote", "quote 1: 42\n"), ("quote", "quote 2: 42\n")] {
        let answer = await_future(get_text(&client, &format!("{url}/{path}")))?;
        println!("GET /{path}: {}", answer.trim_end());
        if answer != expected {
            return Err(format!("it should be {expected:?}").into());
        }
    }
    Ok(())
}
