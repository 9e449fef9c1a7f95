//! facts/keepalive.md, section 3: TCP level.

use super::*;

const HUGE: u32 = 2_147_483_647;

fn keep_alive(time: u32, interval: u32, probes: u32) -> KeepAliveSetting {
    KeepAliveSetting::Yes(KernelKeepAlive {
        time,
        interval,
        probes,
    })
}

#[test]
fn the_kernels_keepalive() {
    let on = |scene| with(scene, |scene| scene.tcp.keep_alive = keep_alive(3, 1, 2));
    let idle = on(client(0, 3));
    after_data(&idle, &[5.1]);
    window(&idle, (2.0, 5.0), (5.0, 5.0));
    let outcome = explain(&idle).outcome.unwrap();
    assert_eq!(outcome.exit_code, Some(255));
    assert_eq!(outcome.says, "client_loop: send disconnect: Broken pipe");
    after_fault(&on(server("OpenSSH_10.5", 0, 3)), &[2.84]);
    // Suspended while data is in flight.
    stays(
        &with(on(client(0, 3)), |scene| {
            scene.traffic.client_writes = Some(s(0.5));
        }),
        60.0,
    );
    stays(&on(client(1, HUGE)), 60.0);
    let server = on(server("OpenSSH_10.5", 0, 3));
    stays(
        &with(server, |scene| scene.traffic.remote_writes = Some(s(0.5))),
        60.0,
    );
    let off = with(client(0, 3), |scene| {
        scene.tcp.keep_alive = KeepAliveSetting::No;
    });
    stays(&off, 20.0);
    assert_eq!(explain(&off).backstop, None);
    // plink TCPKeepalives=1.
    after_data(&on(of("PuTTY_Release_0.78", Side::Client, 0, 3)), &[5.1]);
}

#[test]
fn retransmission() {
    let limited = |scene, retries2| with(scene, |scene| scene.tcp.retries2 = Some(retries2));
    let writing = |scene| {
        with(scene, |scene: &mut Scene| match scene.side {
            Side::Client => scene.traffic.client_writes = Some(s(0.5)),
            Side::Server => scene.traffic.remote_writes = Some(s(0.5)),
        })
    };
    for (retries2, measured) in [(1, 1.87), (2, 3.56), (3, 3.69), (5, 14.1)] {
        after_fault(&limited(writing(client(0, 3)), retries2), &[measured]);
    }
    // Where the kernel's tick is 4 ms: each wait begins 2 % longer than it should, and all of them add up.
    let twice = explain(&limited(writing(client(0, 3)), 2)).ending.unwrap();
    assert!(
        twice.after_fault.holds(s(3.98), Duration::ZERO),
        "{twice:?}"
    );
    after_fault(&limited(client(1, HUGE), 3), &[7.2]);
    after_fault(
        &limited(writing(server("OpenSSH_10.5", 0, 3)), 3),
        &[7.4, 3.7, 3.9],
    );
    let plink = limited(of("PuTTY_Release_0.78", Side::Client, 1, 3), 3);
    after_fault(&plink, &[7.25, 7.3]);
    let outcome = explain(&plink).outcome.unwrap();
    assert_eq!(
        (outcome.exit_code, outcome.says),
        (Some(1), "FATAL ERROR: Connection timed out")
    );
    after_fault(
        &limited(of("paramiko_5.1.0", Side::Client, 1, 3), 3),
        &[3.85],
    );
    stays(&limited(client(0, 3), 3), 30.0);
}

#[test]
fn user_timeout() {
    let limited = |scene| with(scene, |scene| scene.tcp.user_timeout = Some(s(4.0)));
    let writing = with(client(0, 3), |scene| {
        scene.traffic.client_writes = Some(s(0.5));
    });
    after_fault(&limited(writing), &[4.55]);
    after_fault(&limited(client(1, HUGE)), &[4.67]);
    let probing = with(client(0, 3), |scene| {
        scene.tcp.keep_alive = keep_alive(1, 1, 50);
    });
    after_fault(&limited(probing), &[3.58]);
    stays(&limited(client(0, 3)), 20.0);
}

#[test]
fn tcp_sees_nothing_wrong_with_a_kernel_that_answers() {
    let scene = with(client(0, 3), |scene| {
        scene.tcp.keep_alive = keep_alive(3, 1, 2);
        scene.tcp.retries2 = Some(1);
        scene.traffic.client_writes = Some(s(0.5));
        scene.fault = Fault::Frozen;
    });
    assert_eq!(explain(&scene).ending, None);
}

/// A keepalive that is over before the first probe of the SSH layer leaves may end it, and may not.
#[test]
fn keepalive_and_probes_together() {
    let scene = with(client(15, 3), |scene| {
        scene.tcp.keep_alive = keep_alive(3, 1, 2);
    });
    let ending = explain(&scene).ending.unwrap();
    assert_eq!(ending.after_fault, Span::new(s(2.0), s(60.0)));
}
