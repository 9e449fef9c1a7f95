//! What the layers below and above SSH say of a line: our own side, and the shell there.

use super::{Action, Cause, Line, LineState, LinkEvidence, Moment, Phase, Stage, Timer};

impl Line {
    /// Our own side has changed. What it has lost is known at once, and no silence need be waited for; the session stays until the
    /// bound, since TCP outlives a plug that is pulled and put back.
    pub(super) fn linked(&mut self, now: Moment, link: LinkEvidence) {
        let before = self.link_fault();
        let after = link.fault();
        self.evidence.link = Some(link);
        self.was_cut_off |= after.is_some();
        match (after, self.state) {
            (
                Some(cause),
                LineState::Up | LineState::Suspect(_) | LineState::Down(Cause::Silent),
            ) if matches!(self.phase, Phase::Beating { .. }) => {
                self.show(now, LineState::Down(cause));
                self.prove_itself(now);
            }
            // The other way round is how it heals: carrier first, and routes a moment later.
            (Some(Cause::LinkDown), LineState::Down(Cause::NoRoute)) => {
                self.show(now, LineState::Down(Cause::LinkDown));
            }
            (None, _) if before.is_some() => self.mended(now),
            _ => {}
        }
    }

    /// Our own side is whole again: what waits for it need not wait on.
    fn mended(&mut self, now: Moment) {
        match self.phase {
            Phase::Beating { .. } => self.beat(now),
            Phase::Waiting if self.is_ours() => self.dial(now),
            // What left before is repeated seconds later only.
            Phase::Dialing if self.is_connecting() => {
                self.actions.push_back(Action::Abort);
                self.dial(now);
            }
            _ => {}
        }
    }

    fn is_connecting(&self) -> bool {
        matches!(
            self.evidence.ssh.stage,
            None | Some(Stage::Resolve | Stage::Connect)
        )
    }

    fn is_ours(&self) -> bool {
        let causes = [Cause::LinkDown, Cause::NoRoute, Cause::Silent];
        self.state
            .cause()
            .is_some_and(|cause| causes.contains(&cause))
    }

    pub(super) fn link_fault(&self) -> Option<Cause> {
        self.evidence.link.as_ref().and_then(LinkEvidence::fault)
    }

    /// Where nothing came back, why; if that is known better than by what a dial met.
    pub(super) fn cause_of_silence(&self, cause: Cause) -> Cause {
        let link = self.evidence.link.as_ref();
        match (cause, self.link_fault()) {
            // Where a connection left it was by another address.
            (Cause::Silent, Some(_)) => {
                let but_for_address = link.map(|link| LinkEvidence {
                    address: true,
                    ..link.clone()
                });
                let fault = but_for_address.and_then(|link| link.fault());
                fault.unwrap_or(cause)
            }
            (Cause::NoRoute | Cause::LinkDown, Some(fault)) => fault,
            // That we have one is known: somebody on the way has none, or says so.
            (Cause::NoRoute, None) if link.is_some() => Cause::Silent,
            (cause, _) => cause,
        }
    }

    /// The shell there hangs, or does no longer, and sshd is well.
    pub(super) fn shell(&mut self, now: Moment, hangs: bool) {
        self.shell_hangs = hangs;
        let is_settled = matches!(self.phase, Phase::Beating { rising: 0, .. });
        match self.state {
            LineState::Up if hangs && is_settled => {
                self.show(now, LineState::Down(Cause::ShellHung));
            }
            LineState::Down(Cause::ShellHung) if !hangs && is_settled => {
                self.show(now, LineState::Up);
            }
            _ => {}
        }
    }

    /// Its beats are answered, as many as were wanted.
    pub(super) fn is_well(&mut self, now: Moment) {
        let to = if self.shell_hangs {
            LineState::Down(Cause::ShellHung)
        } else {
            LineState::Up
        };
        self.show(now, to);
    }

    /// A sign of life of a session whose line was called down before its end: the beats that it has to answer begin at once.
    pub(super) fn lives_after_all(&mut self, now: Moment) {
        if self.timers.at(Timer::Rise).is_none() {
            self.timers.set(Timer::Rise, now);
        }
    }
}
