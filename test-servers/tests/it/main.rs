//! That servers go away and come back where they were, that what stands in between breaks off when it is told to, and that
//! processes are counted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use test_servers::{Direction, Postgres, Redis, TcpProxy, processes};

#[test]
fn redis_comes_back_where_it_was() {
    let mut redis = Redis::start();
    let url = redis.url();
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    assert!(TcpStream::connect(address).is_ok());
    redis.kill();
    assert!(TcpStream::connect(address).is_err());
    redis.restart();
    assert!(TcpStream::connect(address).is_ok());
    assert_eq!(redis.url(), url);
}

#[test]
fn postgres_keeps_what_was_committed() {
    let mut postgres = Postgres::start();
    let (first, second) = (postgres.database(), postgres.database());
    assert_ne!(first, second);
    postgres.execute(&first, "CREATE TABLE numbers AS SELECT n FROM generate_series(1, 3) n");
    let address = first.trim_start_matches("postgres://postgres@").split('/').next().expect("host and port");
    assert!(TcpStream::connect(address).is_ok());
    postgres.kill();
    assert!(TcpStream::connect(address).is_err());
    postgres.restart();
    assert_eq!(postgres.execute(&first, "SELECT sum(n) FROM numbers"), "6");
}

#[test]
fn a_standby_follows_and_takes_over() {
    let (mut primary, standby) = Postgres::start_with_standby();
    let url = primary.database();
    primary.execute(&url, "CREATE TABLE numbers AS SELECT n FROM generate_series(1, 3) n");
    let name = url.rsplit('/').next().expect("a name");
    standby.wait_for_in(&standby.url_of(name), "SELECT sum(n) FROM numbers", "6");
    assert_eq!(standby.execute(&standby.url(), "SELECT pg_is_in_recovery()"), "t");
    primary.kill();
    standby.promote();
    standby.execute(&standby.url_of(name), "INSERT INTO numbers VALUES (4)");
    assert_eq!(standby.execute(&standby.url_of(name), "SELECT sum(n) FROM numbers"), "10");
}

#[test]
fn a_proxy_passes_on_and_breaks_off() {
    let proxy = TcpProxy::start(&echo());
    let say = |words: &[u8]| {
        let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
        let sent = stream.write_all(words);
        let mut heard = vec![0; words.len()];
        sent.and_then(|()| stream.read_exact(&mut heard)).map(|()| heard)
    };
    assert_eq!(say(b"hello").expect("an answer"), b"hello");
    proxy.swallow_answer_to(b"COMMIT");
    assert_eq!(say(b"begin").expect("an answer"), b"begin");
    assert!(say(b"then COMMIT").is_err());
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(say(b"COMMIT").expect("an answer"), b"COMMIT");
    proxy.cut_after(Direction::ToClient, 2);
    assert!(say(b"hello").is_err());
    assert_eq!(say(b"hello").expect("an answer"), b"hello");
    proxy.refuse(true);
    assert!(say(b"hello").is_err());
    proxy.refuse(false);
    assert_eq!(say(b"hello").expect("an answer"), b"hello");
    let mut open = TcpStream::connect(proxy.address()).expect("a connection");
    open.write_all(b"x").expect("it is passed on");
    open.read_exact(&mut [0]).expect("an answer");
    proxy.cut();
    assert!(open.read_exact(&mut [0]).is_err());
}

/// Says what it hears.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut chunk = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut chunk) {
                    if stream.write_all(&chunk[..length]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn whoever_listens_is_found_by_the_port() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let process =
        processes::listening_on(listener.local_addr().expect("its address").port()).expect("somebody listens");
    assert_eq!(process, std::process::id());
    assert!(processes::name(process).is_some_and(|name| !name.is_empty()));
}

#[test]
fn what_a_child_took_counts_when_it_has_ended_too() {
    let script = "sh -c 'while [ $((n += 1)) -lt 300000 ]; do :; done'; echo done; read _";
    let mut shell = Command::new("sh");
    let mut shell = shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh");
    let mut line = String::new();
    BufReader::new(shell.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    let taken_us = processes::cpu_us(shell.id()).expect("the shell waits");
    drop(shell.stdin.take());
    shell.wait().expect("the shell ends");
    assert!(taken_us >= 2.0 * processes::TICK_US, "{taken_us}");
    assert_eq!(processes::cpu_us(u32::MAX), None);
}

#[test]
fn what_a_process_holds_in_memory_grows_with_what_it_touches() {
    const MORE: usize = 64 << 20;
    let before = processes::resident_bytes(std::process::id()).expect("this process");
    let touched = vec![1_u8; MORE];
    let after = processes::resident_bytes(std::process::id()).expect("this process");
    let own = processes::own_bytes(std::process::id()).expect("this process");
    assert!(std::hint::black_box(touched).len() == MORE && after >= before + MORE as u64 / 2, "{before} {after}");
    assert!(own >= MORE as u64 / 2 && own < after, "pages of the program are mapped: {own} of {after}");
    // What was touched is given back by now.
    let peak = processes::peak_bytes(std::process::id()).expect("this process");
    assert!(peak >= before + MORE as u64 / 2, "{before} {peak}");
    assert_eq!(processes::resident_bytes(u32::MAX), None);
}
