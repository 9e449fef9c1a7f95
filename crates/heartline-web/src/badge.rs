//! A node's state in a small picture, for pages that others have.

use maud::{Markup, PreEscaped, html};

use crate::words;

/// It.
pub(crate) fn draw(node: &str, state: &str) -> String {
    let name = words::shown(node);
    let (left, right) = (width(&name), width(state));
    let all = left + right;
    let title = format!("{name}: {state}");
    let drawing: Markup = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(all) height="20" role="img" aria-label=(title) {
            title { (title) }
            clipPath id="r" { rect width=(all) height="20" rx="3" {} }
            g clip-path="url(#r)" {
                rect width=(left) height="20" fill="#444" {}
                rect x=(left) width=(right) height="20" fill=(colour(state)) {}
            }
            g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" {
                text x=(left / 2) y="14" { (name) }
                text x=(left + right / 2) y="14" { (state) }
            }
        }
    };
    let PreEscaped(text) = drawing;
    text
}

/// The sign of the page itself, in the colour of the worst that it shows.
pub(crate) fn icon(state: &str) -> String {
    let drawing: Markup = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" {
            rect width="16" height="16" rx="4" fill=(colour(state)) {}
            path d="M2 8.5h3l1.5-4 3 7.500 1.500-3.500h3" fill="none" stroke="#fff" stroke-width="1.500" stroke-linecap="round"
                stroke-linejoin="round" {}
        }
    };
    drawing.into_string()
}

fn colour(state: &str) -> &'static str {
    match state {
        "up" => "#1a7f4b",
        "down" => "#c5283d",
        "degraded" | "suspect" => "#a65f00",
        "unknown" => "#7a4fbf",
        _ => "#6b7280",
    }
}

/// Of text in that font, roughly; too wide rather than too narrow.
fn width(text: &str) -> usize {
    text.chars().count() * 7 + 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_text() {
        let drawn = draw("\"><script>alert(1)</script>", "down");
        assert!(!drawn.contains("<script"), "{drawn}");
        assert!(drawn.contains("&lt;script&gt;"), "{drawn}");
        assert!(drawn.contains("#c5283d"), "{drawn}");
    }
}
