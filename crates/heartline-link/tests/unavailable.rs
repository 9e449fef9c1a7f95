//! Without netlink the start says so, and nothing else happens. Alone in its program: it takes files away from it.
#![cfg(target_os = "linux")]

use heartline_link::{LinkError, Links};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn without_a_socket_the_start_says_so_and_works_later() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let before = getrlimit(Resource::Nofile);
    let current = |current| Rlimit { current, ..before };
    setrlimit(Resource::Nofile, current(Some(0))).unwrap();
    let refused = runtime.block_on(Links::start());
    setrlimit(Resource::Nofile, current(before.current)).unwrap();
    let error = refused.unwrap_err();
    assert!(matches!(error, LinkError::Unavailable(_)), "{error}");
    println!("{error}");
    if let Err(error) = runtime.block_on(Links::start()) {
        lab::skipped("works_later", &error.to_string());
    }
}
