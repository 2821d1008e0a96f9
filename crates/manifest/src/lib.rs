//! Kubernetes YAML and JSON read into the engine's model, with the position of every field.
