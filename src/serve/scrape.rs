//! The endpoint of the figures: the few words of HTTP that a scraper says, each within a bound.
//!
//! ```text
//! GET /metrics HTTP/1.1 … (8 KiB and 5 s at most)  ->  200, the text, Connection: close
//! anything else                                    ->  400 or 405, closed
//! a connection too many                            ->  see `slots`: of the source with the most, at random
//! ```
//!
//! One request per connection; what follows it is not read. The text is made once for all who ask
//! within a fifth of a second. Why not a library of HTTP: each of them takes connections, headers and
//! questions without a bound of its own, or leaves the loop that accepts to us; what is left of it is
//! this. Caveat: plain text for every host that can connect; keep it on loopback.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::listener::ACCEPT_REST;
use super::log_limiter::LogLimiter;
use super::slots::{SlotPool, SourceNetwork};
use crate::error::{Error, Result};
use crate::os::now;

/// Bytes of a question with all its headers.
const HEAD_MAX: usize = 8 << 10;
/// How long a question may take, and its answer.
const ASK_WAIT: Duration = Duration::from_secs(5);
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// What still comes is dropped for this time: closing before it came would discard the answer too.
const REST_WAIT: Duration = Duration::from_millis(500);
/// The text is rendered again after this time.
const FRESH: Duration = Duration::from_millis(200);
/// The recorder compacts what it has gathered this often, also when it is not scraped.
const UPKEEP: Duration = Duration::from_secs(5);

/// The text for everybody who asks at about the same time.
#[derive(Clone)]
struct FiguresText {
    figures: PrometheusHandle,
    made: Arc<Mutex<Option<Rendered>>>,
}

/// When it was made, and what it says.
type Rendered = (Instant, Arc<str>);

impl FiguresText {
    fn get(&self) -> Arc<str> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((at, text)) if at.elapsed() < FRESH => text.clone(),
            _ => {
                let text: Arc<str> = self.figures.render().into();
                *made = Some((now(), text.clone()));
                text
            }
        }
    }
}

/// Listens; gives where. Within a runtime only.
pub(super) async fn open(
    at: &str,
    figures: PrometheusHandle,
    slot_pool: SlotPool,
) -> Result<String> {
    let refused = |e: std::io::Error| {
        Error::Busy(format!("Metrics cannot be served at {at}: {e}. Nothing is served."))
            .hint("choose another address with --metrics HOST:PORT, or --metrics off")
    };
    let listener = TcpListener::bind(at).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let text = FiguresText { figures: figures.clone(), made: Arc::default() };
    drop(tokio::spawn(accept(listener, text, slot_pool)));
    drop(tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            figures.run_upkeep();
        }
    }));
    Ok(address.to_string())
}

async fn accept(listener: TcpListener, text: FiguresText, slot_pool: SlotPool) {
    let log_limiter = LogLimiter::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(suppressed) = log_limiter.allow() {
                    tracing::warn!(suppressed, "a metrics connection was not accepted: {error}");
                }
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let (text, mut slot) = (text.clone(), slot_pool.enter(SourceNetwork::of(from.ip())));
        drop(tokio::spawn(async move {
            let time = ASK_WAIT + ANSWER_WAIT + REST_WAIT;
            // A scraper that hangs up or comes too late has no answer, and knows it.
            drop(slot.during(time, answer(stream, &text)).await);
        }));
    }
}

async fn answer(mut stream: TcpStream, text: &FiguresText) -> std::io::Result<()> {
    let head = tokio::time::timeout(ASK_WAIT, head(&mut stream)).await??;
    let (status, body): (_, Arc<str>) = match head.split(|b| *b == b' ').next() {
        _ if !is_http(&head) => ("400 Bad Request", "".into()),
        Some(b"GET") => ("200 OK", text.get()),
        _ => ("405 Method Not Allowed", "".into()),
    };
    let length = body.len();
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    tokio::time::timeout(ANSWER_WAIT, stream.write_all(reply.as_bytes())).await??;
    stream.shutdown().await?;
    let mut rest = [0; 1_024];
    let silence = async { while matches!(stream.read(&mut rest).await, Ok(n) if n > 0) {} };
    // Whatever else is said is none of ours.
    drop(tokio::time::timeout(REST_WAIT, silence).await);
    Ok(())
}

/// The first bytes, up to the empty line, or as many as are taken.
async fn head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let (mut head, mut part) = (Vec::new(), [0; 1_024]);
    while head.len() < HEAD_MAX && !is_whole(&head) {
        let n = stream.read(&mut part).await?;
        if n == 0 {
            break;
        }
        head.extend_from_slice(&part[..n]);
    }
    Ok(head)
}

fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|w| w == b"\r\n\r\n") || head.windows(2).any(|w| w == b"\n\n")
}

/// Whether it is a whole question: three words, the last of them HTTP/1.
fn is_http(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii_end();
    let words: Vec<_> = line.split(|b| *b == b' ').collect();
    is_whole(head) && matches!(words[..], [_, _, version] if version.starts_with(b"HTTP/1."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_whole_head_of_http_1() {
        for good in ["GET / HTTP/1.0\r\n\r\n", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"] {
            assert!(is_http(good.as_bytes()), "{good:?}");
        }
        for bad in ["", "\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1\r\n", "GET / HTTP/2\r\n\r\n"] {
            assert!(!is_http(bad.as_bytes()), "{bad:?}");
        }
    }
}
