"""`yett replay`: decision records against another configuration."""
