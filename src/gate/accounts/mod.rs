//! What a person and an administrator do with an account: passwords, second factors, logging in, sessions, resets. It
//! answers who someone is and never what they may see; what people are (roles, departments) is `directory`'s.

pub(super) mod credentials;
pub(super) mod enrollment;
pub(super) mod login;
pub(super) mod notice;
pub(super) mod passwords;
pub(super) mod reset;
pub(super) mod second_factor;
pub(super) mod sessions;
