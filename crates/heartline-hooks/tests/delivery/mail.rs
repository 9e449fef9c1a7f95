//! Mail to a real server: aiosmtpd (Debian package python3-aiosmtpd).

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::tempdir;

use crate::watcher::{Watcher, hurried, waiting};

/// A mail server that tells what it was sent, a line of JSON each. It says 451 to the first, and 550 to whoever is called nobody.
struct Server {
    child: Child,
    port: u16,
    told: Receiver<Value>,
}

impl Server {
    /// None, and says so, where there is none.
    fn or_skip(test: &str) -> Option<Self> {
        let Some(python) = PYTHONS.into_iter().find(|python| has_aiosmtpd(python)) else {
            lab::skipped(
                test,
                "aiosmtpd is missing (Debian package python3-aiosmtpd)",
            );
            return None;
        };
        let mut child = Command::new(python)
            .args(["-u", "-c", SERVER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let (tell, told) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).unwrap());
            }
        });
        Some(Self { child, port, told })
    }

    fn next(&self) -> Value {
        self.told.recv_timeout(Duration::from_secs(20)).unwrap()
    }
}

fn has_aiosmtpd(python: &str) -> bool {
    let tried = Command::new(python)
        .args(["-c", "import aiosmtpd"])
        .output();
    tried.is_ok_and(|output| output.status.success())
}

/// Debian's, for which its packages are, and another that may stand before it in PATH.
const PYTHONS: [&str; 2] = ["/usr/bin/python3", "python3"];

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_arrives_in_words_again_under_the_same_id_where_it_had_to_wait() {
    let Some(server) = Server::or_skip("mail arrives") else {
        return;
    };
    let folder = tempdir().unwrap();
    let journal = folder.path().join("j.db");
    let hooks = three_hooks(&format!("smtp://127.0.0.1:{}", server.port));
    let watcher = Watcher::start(&journal, &hooks, hurried());
    watcher.node("dä1", "up", "down");
    let mut came = [server.next(), server.next()];
    came.sort_by_key(|one| one["said"].as_str() == Some("250"));
    let (first, second) = (&came[0], &came[1]);
    assert_eq!(
        (&first["said"], &second["said"]),
        (&"451".into(), &"250".into())
    );
    assert_eq!(first["text"], second["text"]);
    assert_eq!(
        second["to"],
        serde_json::json!(["a@example.org", "b@example.org"])
    );
    assert_eq!(second["from"], "w@example.org");
    assert_eq!(second["subject"], "dä1 is down: silent");
    let id = second["id"].as_str().unwrap();
    assert!(
        id.starts_with("<ops-1-") && id.ends_with("@example.org>"),
        "{id}"
    );
    let text = second["body"].as_str().unwrap();
    assert!(
        text.starts_with("dä1 is down: silent (nothing comes back"),
        "{text}"
    );
    assert!(
        text.lines()
            .any(|line| line == "Last sign of life: 9.804s before"),
        "{text}"
    );
    watcher.node("dä1", "down", "up");
    assert_eq!(server.next()["subject"], "dä1 is up again");
    thread::sleep(Duration::from_millis(300));
    watcher.end();
    // Who is nobody was given up at once; what must not go out in the clear waits.
    let waiting = waiting(&journal);
    let hooks: Vec<_> = waiting
        .iter()
        .map(|message| message.hook.as_str())
        .collect();
    assert_eq!(hooks, ["secret", "secret"]);
    assert!(server.told.try_recv().is_err());
}

/// One that will do, one that writes to nobody, and one that wants what the server has not.
fn three_hooks(server: &str) -> String {
    let mail = |server: &str, to: &str| {
        format!(
            "mail={{server='{server}',from='Watcher <w@example.org>',to=['{to}','b@example.org']}}\n"
        )
    };
    format!(
        "[[hook]]\nname='ops'\n{}[[hook]]\nname='lost'\n{}[[hook]]\nname='secret'\ntimeout='2s'\n{}",
        mail(server, "a@example.org"),
        mail(server, "nobody@example.org"),
        mail(&format!("{server}?tls=required"), "c@example.org"),
    )
}

#[test]
fn it_logs_in_where_it_must() {
    let Some(server) = Server::or_skip("mail logs in") else {
        return;
    };
    let folder = tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "pass wörd\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let hooks = format!(
        "[[hook]]\nname='ops'\nmail={{server='smtp://127.0.0.1:{}',from='w@example.org',to=['a@example.org'],user='me',password_file='{}'}}",
        server.port,
        password.display()
    );
    let watcher = Watcher::start(&folder.path().join("j.db"), &hooks, hurried());
    watcher.node("db1", "up", "down");
    let came = server.next();
    assert_eq!(came["login"], "me:pass wörd");
    assert_eq!(server.next()["said"], "250");
    watcher.end();
}

const SERVER: &str = r"
import asyncio, email, email.policy, json, sys
from aiosmtpd.smtp import SMTP, AuthResult
count = 0
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('nobody@'):
            return '550 no such person'
        envelope.rcpt_tos.append(address)
        return '250 OK'
    async def handle_DATA(self, server, session, envelope):
        global count
        count += 1
        said = '451' if count == 1 else '250'
        m = email.message_from_bytes(envelope.content, policy=email.policy.default)
        login = session.auth_data
        print(json.dumps({'said': said, 'from': envelope.mail_from, 'to': envelope.rcpt_tos, 'subject': m['subject'],
            'id': m['message-id'], 'body': m.get_content(), 'text': envelope.content.decode(), 'login': login}), flush=True)
        return said + ' so'
def login(server, session, envelope, mechanism, data):
    who = data.login.decode() + ':' + data.password.decode()
    return AuthResult(success=True, auth_data=who)
async def main():
    loop = asyncio.get_running_loop()
    make = lambda: SMTP(Handler(), authenticator=login, auth_require_tls=False, auth_required=False)
    server = await loop.create_server(make, '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Gone with whoever started it.
    await loop.run_in_executor(None, sys.stdin.read)
asyncio.run(main())
";
