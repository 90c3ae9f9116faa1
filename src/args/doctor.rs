use clap::Args;

#[derive(Args, Debug)]
pub struct DoctorArgs {}
