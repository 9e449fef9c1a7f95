//! What a running watcher shows: page, API, metrics, `status`, over a real node.

mod watching;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};
use lab::{End, Fault, Finished, Lab, Running};
use serde_json::Value;
use watching::{CEILING, Watch, config_file, heartline, until};

fn done(lab: &Lab, words: &[&str]) -> Result<Finished> {
    let mut command = heartline(lab, lab.watcher());
    command.args(words);
    Running::spawn(command)?.finish(CEILING)
}

/// The answer's status, and all of its body.
fn fetch(lab: &Lab, at: SocketAddr, head: &str) -> Result<(u16, String)> {
    let request = format!(
        "{head} HTTP/1.0\r\nHost: {at}\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{{}}"
    );
    let answer = lab.watcher().enter(move || -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&at, CEILING)?;
        stream.set_read_timeout(Some(CEILING))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

#[test]
fn a_page_an_interface_and_numbers_say_what_the_watcher_says() -> Result<()> {
    let Some(lab) = Lab::or_skip("page") else {
        return Ok(());
    };
    let db1 = lab.node("db1")?;
    let cable = lab.cable(&db1)?;
    let text = "[defaults]\ninterval = \"1s\"\n[[node]]\nname = \"<b>db</b>\"\nhost = \"db1\"\ntag = [\"prod\"]\n";
    fs::write(config_file(&lab), text)?;
    let refused = done(&lab, &["watch", "--listen", "0.0.0.0:0"])?;
    assert_eq!(refused.code(), Some(2), "{refused:?}");
    ensure!(refused.stderr.contains("--token-file"), "{refused:?}");

    let mut watch = Watch::start(&lab, "--listen 127.0.0.1:0")?;
    watch.node("<b>db</b>", "up")?;
    watch.complains("the page is at http://")?;
    let said = watch.complaints();
    let at = said
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let at: SocketAddr = at.context("an address")?.parse()?;

    let (status, page) = fetch(&lab, at, "GET /")?;
    ensure!(
        status == 200 && page.contains("&lt;b&gt;db&lt;/b&gt;"),
        "{status} {page}"
    );
    ensure!(!page.contains("<b>db</b>"), "{page}");
    until("it is well", || {
        Ok(fetch(&lab, at, "GET /healthz")?.0 == 200)
    })?;
    let (_, numbers) = fetch(&lab, at, "GET /metrics")?;
    ensure!(
        numbers.contains(r#"heartline_node_state{node="<b>db</b>",state="up"} 1"#),
        "{numbers}"
    );
    // Who may read may not order.
    let (status, why) = fetch(&lab, at, "POST /api/v1/pause")?;
    ensure!(matches!(status, 401 | 403), "{status} {why}");

    watch.forget()?;
    cable.inject(Fault::LinkDown(End::Watcher))?;
    watch.node("<b>db</b>", "down")?;
    until("the interface says so, too", || {
        let (_, text) = fetch(&lab, at, "GET /api/v1/nodes")?;
        let known: Value = serde_json::from_str(&text)?;
        Ok(known["nodes"][0]["state"] == "down" && known["nodes"][0]["cause"] == "link_down")
    })?;
    let told = done(&lab, &["status"])?;
    ensure!(
        told.code() == Some(2) && told.stdout.contains("link_down: "),
        "{told:?}"
    );
    let told = done(&lab, &["status", "<b>db</b>", "--json"])?;
    let brief: Value = serde_json::from_str(&told.stdout)?;
    ensure!(
        brief["tags"][0] == "prod" && brief["token"].as_u64() > Some(0),
        "{brief:#}"
    );
    assert_eq!(done(&lab, &["status", "nosuch"])?.code(), Some(2));

    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    assert_eq!(done(&lab, &["status"])?.code(), Some(2), "nobody answers");
    Ok(())
}
