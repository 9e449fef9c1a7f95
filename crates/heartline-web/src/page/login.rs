//! Where one shows the token.

use maud::{Markup, html};

use super::shell::Frame;

pub(super) fn page(frame: &Frame, next: &str, wrong: Option<&str>) -> Markup {
    let main = html! {
        form.login method="post" action="/login" {
            h1 { "Log in" }
            @if let Some(why) = wrong { p.wrong role="alert" { (why) } }
            input type="hidden" name="next" value=(next);
            // For whatever keeps passwords.
            input type="text" name="user" value="heartline" autocomplete="username" hidden;
            label for="token" { "Token of this watcher" }
            input #token type="password" name="token" autocomplete="current-password" required autofocus;
            button { "Log in" }
            p.hint { "It is in the file that " code { "heartline watch --token-file" } " was given." }
        }
    };
    frame.around("Log in · heartline", "up", "login", &main)
}
