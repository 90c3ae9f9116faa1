use clap::Args;

#[derive(Args, Debug)]
pub struct FetchArgs {
    /// The model, `org/name` or `org/name@revision`.
    pub model: String,
}
