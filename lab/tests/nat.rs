//! A router that forgets idle connections, as cheap firewalls do.

mod reach;

use std::time::{Duration, Instant};

use anyhow::Result;
use lab::{Lab, Nat, Stranger};
use reach::{CEILING, Echo, SOON};

const MEMORY: Duration = Duration::from_secs(2);

#[test]
fn a_forgotten_connection_is_dead_and_a_beating_one_is_not() -> Result<()> {
    let Some(lab) = Lab::or_skip("nat_forgets") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let router = lab.router("r1")?;
    lab.cable_through(&router, &node)?;
    let strict = Nat {
        forgets_after: MEMORY,
        takes_up_again: false,
        stranger: Stranger::Dropped,
    };
    router.masquerade(strict)?;

    let mut beating = Echo::over(&lab, "db1", &["ServerAliveInterval=1"])?;
    let mut idle = Echo::over(&lab, "db1", &["ServerAliveInterval=0"])?;
    assert!(
        node.log()?.contains("10.77.129.254"),
        "the node sees the router's address"
    );
    // Not a wait for something: the absence of traffic for longer than the memory is the test.
    let until = Instant::now() + MEMORY * 2;
    std::thread::sleep(until - Instant::now());
    assert!(!idle.answers(SOON), "forgotten");
    assert!(idle.ssh().is_alive(), "and nobody told it");
    assert!(beating.answers(CEILING), "kept by its beats");
    Ok(())
}

#[test]
fn a_loose_router_takes_the_connection_up_again() -> Result<()> {
    let Some(lab) = Lab::or_skip("nat_loose") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let router = lab.router("r1")?;
    lab.cable_through(&router, &node)?;
    let loose = Nat {
        forgets_after: MEMORY,
        takes_up_again: true,
        stranger: Stranger::Reset,
    };
    router.masquerade(loose)?;
    let mut idle = Echo::over(&lab, "db1", &["ServerAliveInterval=0"])?;
    std::thread::sleep(MEMORY * 2);
    assert!(idle.answers(CEILING));
    Ok(())
}
