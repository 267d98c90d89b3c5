//! That servers go away and come back where they were.

use std::net::TcpStream;

use test_servers::{Postgres, Redis};

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
