//! What a running watcher shows, asked for as others ask for it: by hand over TCP, by the client over the Unix socket, by a real Chromium, by a real Prometheus.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails the test"
)]

mod anew;
mod api;
mod browser;
mod chromium;
mod drawn;
mod figures;
mod html;
mod prometheus;
mod rights;
mod site;
mod stream;
