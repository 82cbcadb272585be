//! What the library promises, against a real server. One program, so that it is linked once.

mod add;
mod close;
mod damage;
mod faults;
mod fixture;
mod locks;
mod recover;
mod work;
