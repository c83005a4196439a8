//! Whoever mistypes an address, or forgets a permission, reads in one line what is wrong.

use std::time::{Duration, Instant};

use herenow::auth::Secret;
use herenow::config::ClusterFlags;
use herenow::redis::{Address, check};

use crate::free::free_address;
use crate::server::Redis;

fn flags(url: &str) -> ClusterFlags {
    ClusterFlags { redis_url: Some(Secret::new(url.as_bytes())), ..ClusterFlags::default() }
}

fn refused(flags: &ClusterFlags) -> String {
    let error = check(&Address::of(flags).unwrap().unwrap(), flags).unwrap_err();
    assert!(error.starts_with("--redis-url: ") && !error.contains('\n'), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    error
}

fn accepted(flags: &ClusterFlags) {
    let checked = check(&Address::of(flags).unwrap().unwrap(), flags);
    assert_eq!(checked, Ok(()));
}

#[test]
fn a_redis_that_will_do_is_accepted_and_nothing_is_left_there() {
    let redis = Redis::start();
    accepted(&flags(&redis.url()));
    assert_eq!(redis.ask("DBSIZE"), ":0\r\n");
}

#[test]
fn nobody_there_nobody_who_answers_and_somebody_else_are_each_one_line() {
    let error = refused(&flags(&format!("redis://{}", free_address())));
    assert!(error.contains("can't connect to 127.0.0.1") && error.contains("refused"), "{error}");
    let error = refused(&flags("redis://no-such-host.invalid"));
    assert!(error.contains("no-such-host.invalid"), "{error}");
    let redis = Redis::start();
    redis.stand_still(true);
    let start = Instant::now();
    let error = refused(&flags(&redis.url()));
    assert!(error.contains("no answer in time"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
    redis.stand_still(false);
    let error = refused(&flags(&redis.url().replace("redis:", "rediss:")));
    assert!(error.contains("TLS"), "{error}");
    let error = refused(&flags(&format!("{}?cluster=true", redis.url())));
    assert!(error.contains("leave out ?cluster=true"), "{error}");
    let cluster = Redis::start_with(&["--cluster-enabled", "yes"]);
    let error = refused(&flags(&cluster.url()));
    assert!(error.contains("add ?cluster=true"), "{error}");
}

#[test]
fn a_refused_login_and_a_missing_permission_say_what_helps() {
    let redis = Redis::start_with(&["--requirepass", "hunter2"]);
    let mut flags = flags(&redis.url());
    let error = refused(&flags);
    assert!(error.contains("refuses the login"), "{error}");
    flags.redis_password = Some(Secret::new(b"wrong"));
    assert!(refused(&flags).contains("HERENOW_REDIS_PASSWORD"));
    flags.redis_password = Some(Secret::new(b"hunter2"));
    accepted(&flags);

    let redis = Redis::start();
    let as_ada = |redis: &Redis| self::flags(&redis.url().replace("//", "//ada:pw@"));
    let base = "ACL SETUSER ada reset on >pw ~herenow:* &herenow:* +@read +@write +@pubsub \
                +@scripting +@connection +info +time +cluster";
    assert_eq!(redis.ask(base), "+OK\r\n");
    accepted(&as_ada(&redis));
    let without = [
        ("-publish", "PUBLISH"),
        ("-hset", "HSET"),
        ("-info", "INFO"),
        ("-subscribe", "SUBSCRIBE"),
        ("-spublish", "SPUBLISH"),
        ("-eval", "EVAL"),
        ("-time", "TIME"),
        ("resetchannels &other:*", "PUBLISH"),
        ("resetkeys ~other:*", "HSET"),
    ];
    for (change, what) in without {
        redis.ask(&format!("{base} {change}"));
        let error = refused(&as_ada(&redis));
        assert!(error.contains(what) && error.contains("~herenow:*"), "{change}: {error}");
        println!("{error}");
    }
}
