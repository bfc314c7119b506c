//! Azure Resource Manager: login, container groups, long-running operations, its errors. Decides nothing.
