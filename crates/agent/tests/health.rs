//! What the health server answers, and what it does not put up with.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails so; clippy does not see that helpers are of tests"
)]

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use palisade_agent::{Shared, health::Server};

fn server(status: &Shared) -> Server {
    Server::start("127.0.0.1:0".parse().unwrap(), status.clone()).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// What comes back for these bytes, until the end.
fn send(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect(server);
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(server: &Server, path: &str) -> (u16, String) {
    let answer = send(server, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Connection: close") && head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[test]
fn it_says_how_the_agent_is() {
    let status = Shared::default();
    let server = server(&status);
    assert_eq!(get(&server, "/healthz").0, 503);
    let (code, why) = get(&server, "/readyz");
    assert_eq!(
        (code, why.as_str()),
        (
            503,
            "waiting for the API server: namespaces, nodes, pods, networkpolicies, clusternetworkpolicies, \
             adminnetworkpolicies, baselineadminnetworkpolicies\n"
        )
    );
    status.with(|status| (status.heartbeat, status.ready) = (Some(Instant::now()), true));
    assert_eq!(get(&server, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(&server, "/readyz?verbose"), (200, "ok\n".to_owned()));
    // What is not understood leaves it ready, and is told.
    let poison = |number: usize| (format!("ClusterNetworkPolicy {number:02}"), vec!["spec.tier: no".to_owned()]);
    status.with(|status| status.poison = [poison(1)].into());
    let told = "ok\nnot understood: ClusterNetworkPolicy 01: spec.tier: no\n";
    assert_eq!(get(&server, "/readyz"), (200, told.to_owned()));
    status.with(|status| status.poison = (0..25).map(poison).collect());
    let (code, text) = get(&server, "/readyz");
    assert!(code == 200 && text.lines().count() == 22 && text.ends_with("\nnot understood: and 5 more\n"), "{text}");
    let (code, text) = get(&server, "/metrics");
    assert!(code == 200 && text.contains("\npalisade_ready 1\n"), "{text}");
    assert_eq!(get(&server, "/").0, 404);
    // A loop that hangs is not healthy.
    status.with(|status| status.heartbeat = Instant::now().checked_sub(Duration::from_secs(61)));
    assert_eq!(get(&server, "/healthz").0, 503);
}

#[test]
fn what_is_no_request_gets_an_answer_that_says_so() {
    let server = server(&Shared::default());
    for (bytes, answer) in [
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 "),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405 "),
        ("GET /metrics\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /metrics HTTP/2.0\r\n\r\n", "HTTP/1.1 400 "),
        ("\u{0}\u{1}\u{2}\r\n\r\n", "HTTP/1.1 400 "),
        ("\r\n\r\n", "HTTP/1.1 400 "),
    ] {
        let said = send(&server, bytes.as_bytes());
        assert!(said.starts_with(answer), "{bytes:?}: {said}");
        assert!(!bytes.starts_with("HEAD") || said.ends_with("\r\n\r\n"));
    }
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert!(send(&server, long.as_bytes()).starts_with("HTTP/1.1 431 "));
}

#[test]
fn those_who_hold_on_keep_nobody_out() {
    let status = Shared::default();
    status.with(|status| status.heartbeat = Some(Instant::now()));
    let server = server(&status);
    let mut held: Vec<TcpStream> = Vec::new();
    let start = Instant::now();
    for number in 0..200 {
        let mut stream = connect(&server);
        // Some say nothing, some a part, some all of it and do not read.
        match number % 3 {
            0 => {}
            1 => _ = stream.write_all(b"GET /met"),
            _ => _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n"),
        }
        held.push(stream);
        if number % 20 == 0 {
            assert_eq!(get(&server, "/healthz").0, 200);
        }
    }
    assert_eq!(get(&server, "/healthz").0, 200);
    // The oldest had to go, not only at its deadline.
    assert!(matches!(held[0].read(&mut [0]), Ok(0) | Err(_)));
    assert!(start.elapsed() < Duration::from_millis(2_500), "{:?}", start.elapsed());
    // The server ends all the same.
    drop(server);
}

#[test]
fn a_drip_of_bytes_ends_at_the_deadline() {
    let server = server(&Shared::default());
    let mut stream = connect(&server);
    let start = Instant::now();
    while stream.write_all(b"G").is_ok() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(start.elapsed() > Duration::from_secs(2));
}

#[test]
fn noise_does_not_hurt() {
    let status = Shared::default();
    status.with(|status| status.heartbeat = Some(Instant::now()));
    let server = server(&status);
    let mut dice = support::Dice(1);
    for _ in 0..200 {
        let noise: Vec<u8> = (0..dice.below(300)).map(|_| dice.below(256) as u8).collect();
        let mut stream = connect(&server);
        _ = stream.write_all(&noise);
        if dice.below(2) == 0 {
            _ = stream.write_all(b"\r\n\r\n");
        }
    }
    assert_eq!(get(&server, "/healthz").0, 200);
}
