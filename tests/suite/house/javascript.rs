//! What each JavaScript module imports. Types in comments (`@typedef {import('./x.js').X}`) are
//! there for the type checker only and count for nothing.

use super::graph::Arrow;
use super::sources::Sources;

/// The arrows between the JavaScript files among `sources`.
pub(crate) fn arrows(sources: &Sources) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for (from, text) in sources.iter().filter(|(path, _)| path.ends_with(".js")) {
        for what in imports(&code(text)) {
            if what.starts_with('.') {
                arrows.push(Arrow { from: from.clone(), to: target(from, &what), what });
            }
        }
    }
    arrows
}

/// The text less its `/** … */` and its lines of `//`.
pub(crate) fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/**") {
        code.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands in quotes behind `from`, `import` and `import(`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in ["from", "import"] {
        for (at, _) in code.match_indices(word) {
            let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
            if code[..at].ends_with(is_part) {
                continue;
            }
            let after = code[at + word.len()..].trim_start();
            let after = after.strip_prefix('(').unwrap_or(after).trim_start();
            let Some(quote) = after.chars().next().filter(|c| matches!(c, '\'' | '"' | '`')) else {
                continue;
            };
            found.extend(after[1..].split_once(quote).map(|(what, _)| what.to_owned()));
        }
    }
    found
}

/// The file that `what` names from the folder of `from`. The page's `client/` is the client library,
/// as the broker serves it.
fn target(from: &str, what: &str) -> String {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in what.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/").replace("web-demo/client/", "clients/javascript/src/")
}
