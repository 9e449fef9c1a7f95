//! One session of the table, as it is written down.

use heartline_core::explain::Side;
use lab::Direction;
use lab::hostile::Step;

/// One session, and which of its ends are judged.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The program that connects, with its options: `-o` of ssh, words of dbclient.
    pub(crate) client: Client,
    /// The program that is connected to: lines of `sshd_config`, words of dropbear.
    pub(crate) server: Server,
    /// The `ControlMaster` that carries the session, by its options.
    pub(crate) master: Option<Vec<String>>,
    /// What the remote command does; `None`: there is none (`-N`).
    pub(crate) remote: Option<Remote>,
    /// Whether the client sends a line every half second.
    pub(crate) client_writes: bool,
    /// Whether both kernels have short TCP times.
    pub(crate) short_tcp: bool,
    /// Whether the node is this row's alone: `sshd_config` counts without a `Match`.
    pub(crate) own_node: bool,
    /// What happens once the session is there.
    pub(crate) happens: Happens,
    /// The ends that are judged.
    pub(crate) judged: Vec<Judged>,
    /// Where in the interval it happens: up to so many seconds after the login, by chance.
    pub(crate) phase: f64,
}

#[derive(Clone, Debug)]
pub(crate) enum Client {
    Ssh(Vec<String>),
    Dbclient(String),
}

#[derive(Clone, Debug)]
pub(crate) enum Server {
    Sshd(String),
    Dropbear(String),
}

/// What the remote command does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Remote {
    /// Reads what comes.
    Listens,
    /// Writes a line this often, in seconds.
    Writes(f64),
    /// Writes 1.8 MB a second, in ten pieces.
    Floods,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Happens {
    /// All stays well.
    Nothing,
    /// The cable falls silent.
    Cut(Direction),
    /// The process that holds this side of the connection is stopped.
    Freezes(Side),
    /// That process is killed.
    Dies(Side),
    /// The remote command is stopped.
    CommandHangs,
    /// Both sides' connection is reset.
    IsReset,
    /// A firewall at the server answers with a reset from now on.
    IsRejected,
    /// There will be no session: the server's part of the login stands still at this step.
    LoginStalls(Step),
}

/// One end, and what is asked about it.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) side: Side,
    /// The words for `heartline explain`, but for the side and the program.
    pub(crate) words: String,
    pub(crate) asks: Asks,
    /// What counts as the last data.
    pub(crate) data: Data,
    /// How wide the window after the fault may be, and that after the last data, in seconds.
    pub(crate) widest: (f64, f64),
}

/// Which of the predictions is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// `after_fault_s` and `after_last_data_s`.
    Fault,
    /// `healthy_ends_s`.
    Healthy,
    /// `login_limit_s`.
    Login,
    /// None: it is known to wait for ever.
    Nothing,
}

/// What counts as the last data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// The last segment with data that this end received.
    Segments,
    /// The last segment that this end received, empty ones too: what the kernel counts from.
    AllSegments,
    /// What passed in channels: the remote command's first and only line.
    Channel,
    /// The prediction is about the fault alone.
    None,
}

impl Judged {
    /// The same with the rate at which a remote command wrote in fact.
    pub(crate) fn at_rate(&self, rate: u64) -> Self {
        let words = self.words.replace(RATE, &format!("--remote-rate {rate}"));
        Self {
            words,
            ..self.clone()
        }
    }
}

impl Row {
    /// ssh to sshd, an idle session, nothing set, nothing happens.
    pub(crate) fn new() -> Self {
        Self {
            client: Client::Ssh(Vec::new()),
            server: Server::Sshd(String::new()),
            master: None,
            remote: Some(Remote::Listens),
            client_writes: false,
            short_tcp: false,
            own_node: false,
            happens: Happens::Nothing,
            judged: Vec::new(),
            phase: 1.0,
        }
    }

    /// ssh with `ServerAlive` set, judged.
    pub(crate) fn server_alive(interval: u32, count: u32) -> Self {
        let mut row = Self::new();
        row.client = Client::Ssh(server_alive(interval, count));
        row.phase = f64::from(interval.max(1));
        let words = format!("--interval {interval} --count {count}");
        let widest = (f64::from(interval.max(1)), 1.0);
        row.judges(Side::Client, words, widest)
    }

    /// sshd with `ClientAlive` set, judged. The widest is that of the slowest releases.
    pub(crate) fn client_alive(interval: u32, count: u32) -> Self {
        Self::new().and_client_alive(interval, count)
    }

    /// The same at the other end of a row.
    pub(crate) fn and_client_alive(mut self, interval: u32, count: u32) -> Self {
        self.phase = self.phase.max(f64::from(interval * 2));
        let words = format!("--interval {interval} --count {count}");
        let widest = (f64::from(interval * 2), 0.1);
        let lines = format!("ClientAliveInterval {interval}\nClientAliveCountMax {count}");
        self.sshd(&lines).judges(Side::Server, words, widest)
    }

    /// dbclient with these options, judged; the words are for `explain`.
    pub(crate) fn dbclient(options: &str, words: &str) -> Self {
        let mut row = Self::new();
        row.client = Client::Dbclient(options.to_owned());
        row.judges(Side::Client, words.to_owned(), (1.0, 0.1))
    }

    /// dropbear with these options, judged; the words are for `explain`.
    pub(crate) fn dropbear(options: &str, words: &str) -> Self {
        let mut row = Self::new();
        row.server = Server::Dropbear(options.to_owned());
        row.judges(Side::Server, words.to_owned(), (1.0, 0.1))
    }

    /// Judges an end.
    pub(crate) fn judges(mut self, side: Side, words: String, widest: (f64, f64)) -> Self {
        let (asks, data) = (Asks::Healthy, Data::Segments);
        self.judged.push(Judged {
            side,
            words,
            asks,
            data,
            widest,
        });
        self
    }

    /// Adds lines to `sshd_config`.
    pub(crate) fn sshd(mut self, lines: &str) -> Self {
        if let Server::Sshd(config) = &mut self.server {
            *config = format!("{config}{lines}\n");
        }
        self
    }

    /// Adds options of ssh, which are not judged.
    pub(crate) fn ssh(mut self, options: Vec<String>) -> Self {
        if let Client::Ssh(all) = &mut self.client {
            all.extend(options);
        }
        self
    }

    /// Adds words for `explain`, about all judged ends.
    pub(crate) fn words(mut self, words: &str) -> Self {
        for judged in &mut self.judged {
            if !judged.words.is_empty() {
                judged.words.push(' ');
            }
            judged.words.push_str(words);
        }
        self
    }

    pub(crate) fn remote_writes(mut self, every: f64) -> Self {
        self.remote = Some(Remote::Writes(every));
        self.words(&format!("--remote-writes {every}"))
    }

    pub(crate) fn floods(mut self) -> Self {
        self.remote = Some(Remote::Floods);
        self.words(&format!("--remote-writes 0.1 {RATE}"))
    }

    pub(crate) fn client_writes(mut self) -> Self {
        self.client_writes = true;
        self.words("--client-writes 0.5")
    }

    /// What happens, and thereby what is asked.
    pub(crate) fn happens(mut self, happens: Happens) -> Self {
        self.happens = happens;
        let (asks, data, word) = match happens {
            Happens::Nothing => (Asks::Healthy, Data::Segments, None),
            Happens::Cut(_) => (Asks::Fault, Data::Segments, None),
            Happens::LoginStalls(_) => (Asks::Login, Data::Segments, None),
            Happens::Freezes(_) => (Asks::Fault, Data::Segments, Some("frozen")),
            Happens::Dies(_) => (Asks::Fault, Data::None, Some("closed")),
            Happens::CommandHangs => (Asks::Fault, Data::None, Some("command-hung")),
            Happens::IsReset => (Asks::Fault, Data::None, Some("reset")),
            Happens::IsRejected => (Asks::Fault, Data::None, Some("reset-on-send")),
        };
        for judged in &mut self.judged {
            (judged.asks, judged.data) = (asks, data);
        }
        match word {
            Some(word) => self.words(&format!("--fault {word}")),
            None => self,
        }
    }

    pub(crate) fn cut(self) -> Self {
        self.happens(Happens::Cut(Direction::Both))
    }

    /// The ends count from the last data in a channel.
    pub(crate) fn counts_channel(mut self) -> Self {
        for judged in &mut self.judged {
            judged.data = Data::Channel;
        }
        self
    }

    /// No prediction is asked for: the judged ends stay, for the reason given.
    pub(crate) fn stays_with(mut self, reason: &str) -> Self {
        for judged in &mut self.judged {
            judged.asks = Asks::Nothing;
            judged.words = format!("({reason})");
        }
        self
    }

    /// The ends count from the last segment.
    pub(crate) fn counts_all(mut self) -> Self {
        for judged in &mut self.judged {
            judged.data = Data::AllSegments;
        }
        self
    }

    /// How wide the windows of all judged ends may be.
    pub(crate) fn widest(mut self, after_fault: f64, after_data: f64) -> Self {
        for judged in &mut self.judged {
            judged.widest = (after_fault, after_data);
        }
        self
    }
}

/// Options of ssh.
pub(crate) fn server_alive(interval: u32, count: u32) -> Vec<String> {
    vec![
        format!("ServerAliveInterval={interval}"),
        format!("ServerAliveCountMax={count}"),
    ]
}

/// What a remote command that floods is to write: the window is full after a little more than a second, not so near a
/// whole one that sshd's probes may fall on either side of it.
const RATE: &str = "--remote-rate 1800000";

impl Happens {
    /// In the table.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Cut(Direction::Both) => "cut",
            Self::Cut(Direction::ToNode) => "cut to the server",
            Self::Cut(Direction::ToWatcher) => "cut to the client",
            Self::Freezes(Side::Client) => "ssh stopped",
            Self::Freezes(Side::Server) => "sshd stopped",
            Self::Dies(Side::Client) => "ssh killed",
            Self::Dies(Side::Server) => "sshd killed",
            Self::CommandHangs => "command stopped",
            Self::IsReset => "reset",
            Self::IsRejected => "reset on send",
            Self::LoginStalls(Step::BeforeBanner) => "stalls before banner",
            Self::LoginStalls(Step::AfterBanner) => "stalls after banner",
            Self::LoginStalls(Step::AfterKexInit) => "stalls in key exchange",
            Self::LoginStalls(_) => "stalls in login",
        }
    }
}
