//! GitHub's REST API: deployments and their statuses. Decides nothing.
