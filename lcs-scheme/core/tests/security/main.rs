//! Security descriptors, access checks, inheritance and SDDL: tables derived by hand from [MS-DTYP], and
//! what holds for all of them.

mod access;
mod audit;
mod binary;
mod generate;
mod inheritance;
mod parts;
mod properties;
mod sddl;
mod table;
