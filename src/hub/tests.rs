//! The hub with subscribers that do what a test tells them.

mod behind;
mod listener;
mod live;
mod pages;
mod splice;
mod tail;
mod wait;
