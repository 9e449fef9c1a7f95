//! A socket that asks the kernel: lists, and where it would send.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NetlinkMessage};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteFlags, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};
use tokio::time::{Instant, timeout_at};

use crate::LinkError;
use crate::heard::{Message, Near, messages};
use crate::judge::Answer;
use crate::kernel::Kernel;

/// Asks and waits for the answer. After an error it must be opened anew.
pub(crate) struct Asker {
    socket: TokioSocket,
    buffer: Vec<u8>,
    sequence: u32,
}

/// How would you send there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub peer: IpAddr,
    /// From this address, of the same family.
    pub local: Option<IpAddr>,
    /// Through the interface with this index.
    pub index: Option<u32>,
}

impl Asker {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(BUFFER),
            sequence: 0,
        })
    }

    /// All interfaces and addresses; `None` if they changed while the kernel told them, which tears a list.
    pub(crate) async fn everything(&mut self) -> Result<Option<Kernel>, LinkError> {
        let mut kernel = Kernel::default();
        let mut links = LinkMessage::default();
        let no_statistics = vec![LinkExtentMask::SkipStats];
        links.attributes.push(LinkAttribute::ExtMask(no_statistics));
        let links = RouteNetlinkMessage::GetLink(links);
        let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let is_whole = self.list("interfaces", links, &mut kernel).await?
            && self.list("addresses", addresses, &mut kernel).await?;
        Ok(is_whole.then_some(kernel))
    }

    /// Reads a list; whether it is whole.
    async fn list(
        &mut self,
        what: &'static str,
        question: RouteNetlinkMessage,
        kernel: &mut Kernel,
    ) -> Result<bool, LinkError> {
        let refused = |error| LinkError::Refused { what, error };
        let sequence = self.send(question, NLM_F_DUMP).map_err(refused)?;
        let mut is_whole = true;
        let until = Instant::now() + ANSWER;
        loop {
            let received = timeout_at(until, self.receive()).await;
            received.map_err(|_| late(what))?.map_err(refused)?;
            for message in messages(&self.buffer).filter(|m| m.sequence == sequence) {
                is_whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.error() {
                    Some(0) if message.kind == NLMSG_DONE => return Ok(is_whole),
                    Some(errno) => return Err(refused(io::Error::from_raw_os_error(errno))),
                    None => {}
                }
                if let Some(heard) = message.near() {
                    kernel.hear(heard)?;
                }
            }
        }
    }

    /// Asks for routes; the answers, in order.
    pub(crate) async fn routes(
        &mut self,
        questions: &[Question],
    ) -> Result<Vec<Answer>, LinkError> {
        let questions = questions.iter().map(|question| question.message());
        let read = |message: Message<'_>| message.answer();
        self.ask("routes", questions, read).await
    }

    /// Asks for the present state of some interfaces; of those that are there.
    pub(crate) async fn links(
        &mut self,
        indices: impl IntoIterator<Item = u32>,
    ) -> Result<Vec<Near>, LinkError> {
        let questions = indices.into_iter().map(|index| {
            let mut link = LinkMessage::default();
            link.header.index = index;
            RouteNetlinkMessage::GetLink(link)
        });
        let read = |message: Message<'_>| match message.error() {
            Some(_) => Some(None),
            None => message.near().map(Some),
        };
        let links = self.ask("interfaces", questions, read).await?;
        Ok(links.into_iter().flatten().collect())
    }

    /// Asks everything at once; what was read from the answers, in order.
    async fn ask<T>(
        &mut self,
        what: &'static str,
        questions: impl IntoIterator<Item = RouteNetlinkMessage>,
        read: impl Fn(Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, LinkError> {
        let refused = |error| LinkError::Refused { what, error };
        let first = self.sequence.wrapping_add(1);
        let mut answers = Vec::new();
        for question in questions {
            self.send(question, 0).map_err(refused)?;
            answers.push(None);
        }
        let mut missing = answers.len();
        let until = Instant::now() + ANSWER;
        while missing > 0 {
            let received = timeout_at(until, self.receive()).await;
            received.map_err(|_| late(what))?.map_err(refused)?;
            for message in messages(&self.buffer) {
                let place = usize::try_from(message.sequence.wrapping_sub(first)).ok();
                let place = place.and_then(|place| answers.get_mut(place));
                if let (Some(place @ None), Some(answer)) = (place, read(message)) {
                    *place = Some(answer);
                    missing -= 1;
                }
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Sends a question; its number. The kernel answers before this returns.
    fn send(&mut self, question: RouteNetlinkMessage, flags: u16) -> io::Result<u32> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(question);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let kernel = SocketAddr::new(0, 0);
        self.socket.socket_ref().send_to(&bytes, &kernel, 0)?;
        Ok(self.sequence)
    }

    /// Waits for a datagram of the kernel's.
    async fn receive(&mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();
            let (socket, buffer) = (&self.socket, &mut self.buffer);
            let sender = poll_fn(|context| socket.poll_recv_from(context, buffer)).await?;
            if sender.port_number() == 0 {
                return Ok(());
            }
        }
    }
}

impl Question {
    fn message(self) -> RouteNetlinkMessage {
        let mut message = RouteMessage::default();
        let (family, length) = match self.peer {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        message.header.address_family = family;
        message.header.destination_prefix_length = length;
        // The answer names the table that has the route, or none.
        message.header.flags = RouteFlags::LookupTable;
        let destination = RouteAttribute::Destination(self.peer.into());
        message.attributes.push(destination);
        if let Some(local) = self.local {
            message.header.source_prefix_length = length;
            message
                .attributes
                .push(RouteAttribute::Source(local.into()));
        }
        if let Some(index) = self.index {
            message.attributes.push(RouteAttribute::Oif(index));
        }
        RouteNetlinkMessage::GetRoute(message)
    }
}

fn late(what: &'static str) -> LinkError {
    let within = ANSWER;
    LinkError::Late { what, within }
}

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Longer than any part of a list: the kernel cuts them at 32 KiB.
const BUFFER: usize = 64 * 1024;
