//! A real Chromium, led by its driver.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use lab::Running;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// A browser and its driver.
pub(crate) struct Browser {
    pub(crate) client: Client,
    port: u16,
    _driver: Running,
    _profile: TempDir,
}

impl Browser {
    /// None, said visibly, where there is none.
    pub(crate) async fn open(test: &str) -> Option<Self> {
        for (program, package) in [
            ("chromedriver", "chromium-driver"),
            ("chromium", "chromium"),
        ] {
            if find(program).is_none() {
                lab::skipped(
                    test,
                    &format!("{program} is missing (Debian package {package})"),
                );
                return None;
            }
        }
        let mut command = Command::new(find("chromedriver")?);
        command.arg("--port=0");
        let mut driver = Running::spawn(command).unwrap();
        let said = driver.wait_for("port", PATIENCE, |line| {
            line.text.contains("successfully on port ")
        });
        let said = said.unwrap().text;
        let port = said.rsplit("on port ").next().unwrap();
        let port = port.trim_end_matches('.').parse().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let client = timeout(PATIENCE, connect(port, profile.path()))
            .await
            .unwrap();
        Some(Self {
            client,
            port,
            _driver: driver,
            _profile: profile,
        })
    }

    pub(crate) async fn go(&self, url: &str) {
        timeout(PATIENCE, self.client.goto(url))
            .await
            .unwrap()
            .unwrap();
    }

    /// What a script in the page makes of it.
    pub(crate) async fn eval(&self, script: &str) -> Value {
        let asked = self.client.execute(script, Vec::new());
        timeout(PATIENCE, asked).await.unwrap().unwrap()
    }

    /// Waits until that is so; how long it took.
    pub(crate) async fn until(&self, what: &str, script: &str) -> Duration {
        let begun = Instant::now();
        while self.eval(&format!("return Boolean({script})")).await != json!(true) {
            assert!(begun.elapsed() < PATIENCE, "never: {what}");
            sleep(Duration::from_millis(5)).await;
        }
        begun.elapsed()
    }

    pub(crate) async fn live(&self) {
        self.until(
            "live",
            "document.getElementById('live').classList.contains('on')",
        )
        .await;
    }

    /// A command of Chromium's own protocol.
    pub(crate) async fn cdp(&self, command: &str, parameters: Value) {
        let session = self.client.session_id().await.unwrap().unwrap();
        let body = json!({ "cmd": command, "params": parameters });
        self.post(&format!("/session/{session}/goog/cdp/execute"), &body);
    }

    /// What the browser complained of.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let session = self.client.session_id().await.unwrap().unwrap();
        let said = self.post(
            &format!("/session/{session}/se/log"),
            &json!({ "type": "browser" }),
        );
        let entries = said["value"].as_array().cloned().unwrap_or_default();
        entries.iter().map(ToString::to_string).collect()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        // The driver keeps the connection, whatever it is asked.
        let mut said = Vec::new();
        let json = loop {
            let mut piece = vec![0; 65_536];
            let length = stream.read(&mut piece).unwrap();
            said.extend_from_slice(&piece[..length]);
            let text = String::from_utf8_lossy(&said).into_owned();
            let Some((headers, json)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let headers = headers.to_lowercase();
            let wanted = headers.split("content-length:").nth(1).unwrap();
            let wanted: usize = wanted.lines().next().unwrap().trim().parse().unwrap();
            if json.len() >= wanted || length == 0 {
                break json.to_owned();
            }
        };
        serde_json::from_str(&json).unwrap_or_else(|why| panic!("{why}: {json}"))
    }

    pub(crate) async fn dark(&self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// Where somebody wants to look at it: in the folder that `HEARTLINE_SHOTS` names.
    pub(crate) async fn shoot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("HEARTLINE_SHOTS") {
            let png = self.client.screenshot().await.unwrap();
            std::fs::write(PathBuf::from(folder).join(name), png).unwrap();
        }
    }

    pub(crate) async fn close(self) {
        timeout(PATIENCE, self.client.close())
            .await
            .unwrap()
            .unwrap();
    }
}

async fn connect(port: u16, profile: &Path) -> Client {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(PATIENCE));
    let options = json!({
        "binary": find("chromium").unwrap(),
        "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--window-size=1600,1000",
            format!("--user-data-dir={}", profile.display()),
        ],
    });
    let capabilities = [
        ("goog:chromeOptions".to_owned(), options),
        ("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" })),
    ];
    let driver = format!("http://127.0.0.1:{port}");
    let mut builder = ClientBuilder::new(connector);
    builder.capabilities(capabilities.into_iter().collect());
    builder.connect(&driver).await.unwrap()
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut all = std::env::split_paths(&path).map(|folder| folder.join(program));
    all.find(|path| path.is_file())
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
