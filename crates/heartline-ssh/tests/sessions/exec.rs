//! Commands: their bytes, their ends, and that a session lives on whatever becomes of what they write.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use heartline_ssh::{Ending, Exec, ExecError, ExecRequest, Part, Session};

use crate::bed::{Bed, CEILING, until, within};
use crate::client::{Client, beat, patient, target};

fn request(command: &str) -> ExecRequest {
    ExecRequest {
        command: command.into(),
        patience: CEILING,
        ..ExecRequest::default()
    }
}

async fn start(session: &dyn Session, command: &str) -> Exec {
    let exec = session.exec(request(command));
    within(command, exec).await.unwrap()
}

/// All that comes of a command until its channel is closed.
async fn all(exec: &mut Exec) -> (Vec<u8>, Vec<u8>, Option<Ending>) {
    let (mut out, mut err, mut ending) = (Vec::new(), Vec::new(), None);
    let mut is_closed = false;
    while let Some(part) = within("more of it", exec.output.next()).await {
        match part {
            Part::Out(bytes) => out.extend_from_slice(&bytes),
            Part::Err(bytes) => err.extend_from_slice(&bytes),
            Part::Ended(how) => ending = Some(how),
            Part::Closed => is_closed = true,
        }
    }
    // What is not closed was cut.
    (out, err, ending.filter(|_| is_closed))
}

#[tokio::test]
async fn both_outputs_and_the_end_come_as_they_are() {
    let Some(bed) = Bed::or_skip("both_outputs_and_the_end_come_as_they_are") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let session = client.dial(&target).await.session;
    let mut exec = start(&*session, "printf 'a\\000\\377b'; printf c >&2; exit 7").await;
    let status = Some(Ending::Status(7));
    assert_eq!(
        all(&mut exec).await,
        (b"a\0\xffb".to_vec(), b"c".to_vec(), status)
    );
    let mut exec = start(&*session, "kill -TERM $$; sleep 100").await;
    assert_eq!(all(&mut exec).await.2, Some(Ending::Signal("TERM".into())));
    beat(&*session).await;
}

#[tokio::test]
async fn what_goes_in_comes_out() {
    let Some(bed) = Bed::or_skip("what_goes_in_comes_out") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let session = client.dial(&target).await.session;
    let Exec { input, output, .. } = start(&*session, "cat").await;
    let sent: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let copy = Bytes::copy_from_slice(&sent);
    let send = tokio::spawn(async move {
        for at in (0..copy.len()).step_by(100_000) {
            let piece = copy.slice(at..copy.len().min(at + 100_000));
            input.write(piece).await.unwrap();
        }
        input.end().await.unwrap();
        input
    });
    let refused_env = Vec::new();
    let input = start(&*session, "true").await.input;
    let mut exec = Exec {
        input,
        output,
        refused_env,
        refused_terminal: false,
    };
    let (got, _, ending) = all(&mut exec).await;
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    assert_eq!(ending, Some(Ending::Status(0)));
    within("all is sent", send).await.unwrap();
}

/// The node's own buffers, and those between, take some megabytes; then it waits, and what we send still arrives.
#[tokio::test]
async fn output_that_nobody_takes_stops_its_command_and_nothing_else() {
    let Some(bed) = Bed::or_skip("output_that_nobody_takes") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let session = client.dial(&target).await.session;
    let heard = bed.path("heard");
    let listens = format!("while read x; do echo $x >>{}; done", heard.display());
    let listener = start(&*session, &listens).await;
    let written = bed.path("written");
    // Lines, so that there are many packets.
    let floods = format!(
        "i=0; while :; do i=$((i+1)); echo line $i of what nobody takes; case $i in *000) echo $i >{};; esac; done",
        written.display()
    );
    let mut flood = start(&*session, &floods).await;
    let count = || fs::read_to_string(&written).unwrap_or_default();
    until("it has begun", || !count().is_empty()).await;
    let mut last = String::from("none");
    within("the command waits", async {
        while last != count() {
            last = count();
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    })
    .await;
    beat(&*session).await;
    for number in 0..300 {
        let line = Bytes::from(format!("{number}\n"));
        listener.input.write(line).await.unwrap();
    }
    let arrived = || fs::read_to_string(&heard).unwrap_or_default();
    until("what is sent arrives", || arrived().ends_with("\n299\n")).await;
    assert_eq!(count(), last, "it went on");
    // Taken, it goes on.
    let mut bytes = 0;
    while bytes < 30_000_000 {
        match within("more", flood.output.next()).await.unwrap() {
            Part::Out(piece) => bytes += piece.len(),
            other => panic!("{other:?}"),
        }
    }
    drop(flood);
    beat(&*session).await;
}

#[tokio::test]
async fn what_cannot_be_run_is_said() {
    let Some(bed) = Bed::or_skip("what_cannot_be_run_is_said") else {
        return;
    };
    let client = Client::new();
    let closed = bed.sshd("MaxSessions 0");
    let target_closed = target(&bed, closed.addr, patient(), &[]).await;
    let session = client.dial(&target_closed).await.session;
    let refused = session.exec(request("true")).await.unwrap_err();
    assert!(matches!(refused, ExecError::NoChannel { .. }), "{refused}");
    let serve = bed.serve().await;
    let target = target(&bed, serve.addr, patient(), &[]).await;
    let session = client.dial(&target).await.session;
    let refused = session.exec(request("true")).await.unwrap_err();
    assert!(
        matches!(refused, ExecError::NoChannel { .. } | ExecError::Refused),
        "{refused}"
    );
    beat(&*session).await;
}
