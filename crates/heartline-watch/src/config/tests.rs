use std::path::Path;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn mistakes(text: &str) -> Vec<String> {
    let mut draft = Draft::of(text, Path::new("heartline.toml"));
    draft.check();
    draft.mistakes.iter().map(ToString::to_string).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let mut draft = Draft::of(text, Path::new("heartline.toml"));
    draft.check();
    draft.warnings.iter().map(ToString::to_string).collect()
}

/// Each begins so, in this order.
fn begin(all: &[String], want: &[&str]) {
    assert_eq!(all.len(), want.len(), "{all:#?}");
    for (came, want) in all.iter().zip(want) {
        assert!(came.starts_with(want), "{came}\nis not\n{want}");
        assert!(!came.contains(['\n', '\x1b']), "{came:?}");
    }
}

#[test]
fn every_mistake_is_found_and_none_that_only_follows() {
    let text = r#"
reference = ["10.0.0.1", "gateway"]
[defaults]
intervall = "5s"
count = 0
[[node]]
name = 1
user = "-x"
tagg = ["a"]
[[node]]
name = "db1"
interval = "soon"
line = [ { host = "10.0.1.5", dev = "e/0" }, { hots = "x" }, { host = "b", jump = "c,d" } ]
[[node]]
name = "db1"
port = 0
[[node]]
name = "-x"
[[hook]]
name = "Mail"
[[hook]]
name = "x"
run = []
url = "https://example.org"
"#;
    begin(
        &mistakes(text),
        &[
            "heartline.toml:2:26: reference \"gateway\" is no address",
            "heartline.toml:4:1: unknown field `intervall`",
            "heartline.toml:5:1: count 0 would end",
            "heartline.toml:7:8: invalid type: integer `1`, expected a string",
            "heartline.toml:9:1: unknown field `tagg`",
            "heartline.toml:12:12: \"soon\" is no time",
            "heartline.toml:13:10: dev is `e/0`",
            "heartline.toml:13:46: missing field `host`",
            "heartline.toml:13:48: unknown field `hots`",
            "heartline.toml:15:1: two nodes are called \"db1\", this one and that of line 11;",
            "heartline.toml:16:1: the port is `0`",
            "heartline.toml:18:1: the host `-x` begins with",
            "heartline.toml:19:1: the hook does nothing",
            "heartline.toml:20:1: \"Mail\" is no name of a hook",
            "heartline.toml:21:1: the hook has more than one of",
            "heartline.toml:23:1: run names no program",
        ],
    );
}

#[test]
fn broken_syntax_is_said_wherever_it_is() {
    let all = mistakes("[[node]\nname = \"a\"\n[defaults]\ncount = = 1\nx = \"a\x1b\"\n");
    assert!(all.len() >= 2, "{all:#?}");
    assert!(all[0].starts_with("heartline.toml:1:"), "{all:#?}");
    assert!(all.iter().any(|line| line.starts_with("heartline.toml:4:")));
}

#[test]
fn what_stands_twice() {
    let text = "[[node]]\nname = \"a\"\n[[node]]\nname = \"a\"\n[[hook]]\nname = \"h\"\nurl = \"x\"\n[[hook]]\nname = \"h\"\nmail = { server = \"s\", from = \"f\", to = [] }\n";
    begin(
        &mistakes(text),
        &[
            "heartline.toml:4:1: two nodes are called \"a\", this one and that of line 2;",
            "heartline.toml:9:1: two hooks are called \"h\", this one and that of line 6;",
        ],
    );
}

#[test]
fn a_hook_that_nobody_will_ever_hear_is_a_warning() {
    let text = "[[node]]\nname = \"a\"\ntag = [\"x\"]\n[[hook]]\nname = \"h\"\nurl = \"x\"\ntag = [\"x\", \"y\"]\nnode = [\"a\", \"b\", \"c*\"]\n";
    assert_eq!(mistakes(text), [""; 0]);
    begin(
        &warnings(text),
        &[
            "heartline.toml:7:13: no node has the tag \"y\"",
            "heartline.toml:8:14: no node is called \"b\"",
        ],
    );
    begin(&warnings(""), &["heartline.toml:1:1: no [[node]]"]);
}

#[test]
fn several_jump_hosts_stand_in_a_line_of_the_file() {
    let text = "[[node]]\nname = \"a\"\nline = [ { host = \"b\", jump = \"u@c:23,d\" } ]\n";
    let file = ConfigFile::parse(text, Path::new("x")).unwrap();
    let line = file.nodes[0].lines[0].to_line().unwrap();
    assert_eq!(line.jump.unwrap().to_string(), "u@c:23,d");
    assert_eq!(mistakes(text), [""; 0]);
}

fn validator() -> Validator {
    let schema = serde_json::to_value(schema()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn as_json(text: &str) -> Value {
    let table: toml::Table = toml::from_str(text).unwrap();
    serde_json::to_value(table).unwrap()
}

/// Of every kind of thing that may stand in the file.
const FULL: &str = r#"
reference = ["10.0.1.1", "[fe80::1]:80"]
[defaults]
interval = "5s"
count = 1
detector = "adaptive"
fuse = 30
connect_timeout = 2.5
[journal]
keep = "400days"
[page]
listen = "127.0.0.1:8022"
[heartbeat]
url = "https://example.org/ping"
interval = "1m30s"
[[hook]]
name = "call"
on = ["down", "up"]
of = ["node", "watcher"]
cause = ["silent", "host_key_changed"]
tag = ["prod"]
run = ["/usr/local/bin/call", "--now"]
[[hook]]
name = "write"
mail = { server = "smtp://localhost", from = "a@example.org", to = ["b@example.org"] }
[[node]]
name = "db1"
tag = ["prod"]
line = [ { host = "10.0.1.5", dev = "eth0" }, { host = "db1.example.org", jump = "bastion" } ]
"#;

#[test]
fn the_schema_takes_what_the_program_takes() {
    let validator = validator();
    let full = as_json(FULL);
    let errors: Vec<_> = validator
        .iter_errors(&full)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, [""; 0]);
    assert_eq!(mistakes(FULL), [""; 0]);
    let readme = include_str!("../../../../README.md");
    let example = readme.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    assert!(validator.is_valid(&as_json(example)), "{example}");
    assert_eq!(mistakes(example), [""; 0]);
}

#[test]
fn the_schema_refuses_what_the_program_refuses() {
    let validator = validator();
    for text in [
        "[defaults]\nintervall = \"5s\"",
        "[defaults]\ninterval = \"soon\"",
        "[defaults]\ninterval = -1",
        "[defaults]\ndetector = \"guess\"",
        "[[node]]\nhost = \"a\"",
        "[[node]]\nname = 1",
        "[[node]]\nname = \"a\"\nline = [ { dev = \"eth0\" } ]",
        "[[node]]\nname = \"a\"\nport = 65536",
        "[[hook]]\nname = \"h\"\non = [\"dwon\"]",
        "[[hook]]\nname = \"h\"\ncause = [\"tired\"]",
        "[nodes]",
    ] {
        assert!(!validator.is_valid(&as_json(text)), "{text}");
        assert!(!mistakes(text).is_empty(), "{text}");
    }
}

#[test]
fn every_field_of_the_schema_says_what_it_is() {
    let schema = serde_json::to_value(schema()).unwrap();
    let definitions = schema["definitions"].as_object().unwrap().iter();
    let whole = String::new();
    for (name, table) in definitions.chain([(&whole, &schema)]) {
        let Some(fields) = table["properties"].as_object() else {
            continue;
        };
        assert_eq!(table["additionalProperties"], json!(false), "{name}");
        for (field, about) in fields {
            let says = about.get("description").and_then(Value::as_str);
            assert!(
                says.is_some_and(|says| says.len() > 5),
                "{name}.{field}: {about}"
            );
        }
    }
    assert!(!schema.to_string().contains("null"), "TOML has none");
}

/// Editors take it from the repository: it is what the program prints.
#[test]
fn the_schema_of_the_repository_is_that_of_the_program() {
    let kept = include_str!("../../../../packaging/heartline.schema.json");
    let kept: Value = serde_json::from_str(kept).unwrap();
    let now = serde_json::to_value(schema()).unwrap();
    assert_eq!(
        kept, now,
        "run: heartline config schema > packaging/heartline.schema.json"
    );
}

proptest! {
    /// Whatever stands in the file: as many mistakes as it takes, and an end.
    #[test]
    fn nothing_that_can_be_written_is_too_much(text in "[\\[\\]{}=\",.a-d \n0-9#'-]{0,200}") {
        mistakes(&text);
        warnings(&text);
    }

    /// Where the file is read there is no mistake in reading it, and the other way round.
    #[test]
    fn a_draft_reads_what_is_read(
        names in prop::collection::vec("[a-c]{1,2}|-x|\"", 0..4),
        key in "name|host|interval|lin|port",
        value in r#""5s"|1|"x"|\[\]|-1|\{ host = "a" \}"#,
    ) {
        let node = |name: &String| format!("[[node]]\nname = '{name}'\n{key} = {value}\n");
        let text: String = names.iter().map(node).collect();
        let is_read = ConfigFile::parse(&text, Path::new("x")).is_ok();
        let draft = Draft::of(&text, Path::new("x"));
        prop_assert_eq!(is_read, draft.mistakes.is_empty(), "{}\n{:?}", text, draft.mistakes);
    }
}
