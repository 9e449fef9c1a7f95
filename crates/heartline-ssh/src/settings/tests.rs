//! Both ways to settings, against each other and through a line's overrides.

mod differential;
mod lines;
