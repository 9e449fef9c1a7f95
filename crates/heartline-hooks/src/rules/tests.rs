//! Rules against a model of all that is around them: a journal that remembers, a deliverer that sends, a process that is killed.

mod model;
mod proven;
mod told;
