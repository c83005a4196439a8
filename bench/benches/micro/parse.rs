//! A text → a request.

use divan::Bencher;

const TEXTS: [(&str, &str); 6] = [
    (
        "join, JSON",
        r#"{"type":"join","id":1,"channel":"room","attributes":{"mood":"happy","step":7}}"#,
    ),
    ("join, shorthand", "join room mood=happy step=7"),
    ("heartbeat, JSON", r#"{"type":"heartbeat"}"#),
    ("heartbeat, shorthand", "hb"),
    (
        "setAttributes, JSON",
        r#"{"type":"setAttributes","id":2,"channel":"room","attributes":{"typing":true},"merge":true,"ttlMs":3000}"#,
    ),
    ("setAttributes, shorthand", "set room mood=happy step=7"),
];

#[divan::bench(args = TEXTS.map(|(title, _)| title))]
fn parse(bencher: Bencher<'_, '_>, title: &str) {
    let text = TEXTS.iter().find(|(other, _)| *other == title).unwrap().1;
    bencher.bench(|| herenow_protocol::parse(divan::black_box(text)).unwrap());
}
