//! What Resource Manager checks in a container group's body, and what of it it gives back.

use serde_json::{Map, Value, json};

/// Why a body is refused: code and message.
pub(crate) type Refusal = (&'static str, String);

/// Checks a PUT's body as Azure does.
pub(crate) fn check(body: &Value) -> Result<(), Refusal> {
    let missing = |what: &str| ("InvalidRequestContent", format!("The request content was invalid: '{what}' is missing or malformed."));
    let properties = body.get("properties").and_then(Value::as_object).ok_or_else(|| missing("properties"))?;
    if !body.get("location").is_some_and(Value::is_string) {
        return Err(("LocationRequired", "The location property is required for this definition.".into()));
    }
    if !matches!(properties.get("osType").and_then(Value::as_str), Some("Linux" | "Windows")) {
        return Err(("InvalidOsType", "The 'osType' for container group is invalid.".into()));
    }
    let containers =
        properties.get("containers").and_then(Value::as_array).filter(|all| !all.is_empty()).ok_or_else(|| missing("containers"))?;
    for container in containers {
        container.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()).ok_or_else(|| missing("containers.name"))?;
        let inner = container.get("properties").ok_or_else(|| missing("containers.properties"))?;
        inner
            .get("image")
            .and_then(Value::as_str)
            .filter(|image| !image.is_empty())
            .ok_or_else(|| missing("containers.properties.image"))?;
        for number in ["cpu", "memoryInGB"] {
            let asked = inner.pointer(&format!("/resources/requests/{number}")).and_then(Value::as_f64);
            asked.filter(|asked| *asked > 0.0).ok_or_else(|| missing(number))?;
        }
    }
    for credential in properties.get("imageRegistryCredentials").and_then(Value::as_array).into_iter().flatten() {
        let server = credential.get("server").and_then(Value::as_str).unwrap_or_default();
        if server.is_empty() {
            return Err((
                "InvalidImageRegistryCredential",
                format!("The server '{server}' in the 'imageRegistryCredentials' of container group is invalid."),
            ));
        }
        let given = |name: &str| credential.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if !(given("identity") || given("username") && given("password")) {
            return Err((
                "InvalidImageRegistryCredential",
                format!("The credential of server '{server}' in the 'imageRegistryCredentials' of container group is invalid."),
            ));
        }
    }
    Ok(())
}

/// What cannot be changed in an existing group (Azure: "Update containers in Azure Container Instances").
pub(crate) fn check_update(old: &Value, new: &Value) -> Result<(), Refusal> {
    let fixed = [
        "/properties/osType",
        "/properties/restartPolicy",
        "/properties/subnetIds",
        "/properties/ipAddress/type",
        "/properties/containers/0/properties/resources/requests/cpu",
        "/properties/containers/0/properties/resources/requests/memoryInGB",
        "/properties/containers/0/properties/resources/requests/gpu",
    ];
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    for path in fixed {
        let (before, after) = (old.pointer(path), new.pointer(path));
        let same = match (number(before), number(after)) {
            (Some(before), Some(after)) => (before - after).abs() < 1e-9,
            _ => before.unwrap_or(&Value::Null) == after.unwrap_or(&Value::Null),
        };
        if !same {
            return Err((
                "InvalidContainerGroupUpdate",
                "The updates on container group are invalid. If you are going to update the os type, restart policy, network profile, \
                 CPU, memory or GPU resources for a container group, you must delete it first and then create a new one."
                    .into(),
            ));
        }
    }
    Ok(())
}

/// The definition as it is given back: Azure's defaults filled in, no password, no secure value, no key.
pub(crate) fn given_back(body: &Value) -> Value {
    let mut shown = body.clone();
    forget(&mut shown, &["password", "storageAccountKey", "workspaceKey"]);
    let Some(properties) = shown.get_mut("properties").and_then(Value::as_object_mut) else { return shown };
    properties.entry("sku").or_insert_with(|| json!("Standard"));
    properties.entry("restartPolicy").or_insert_with(|| json!("Always"));
    properties.entry("initContainers").or_insert_with(|| json!([]));
    // Azure only reports these; clients that send the whole object back send them, too.
    properties.remove("instanceView");
    properties.remove("provisioningState");
    for volume in properties.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(files) = volume.get_mut("secret").and_then(Value::as_object_mut) {
            files.values_mut().for_each(|content| *content = Value::Null);
        }
    }
    for container in properties.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(inner) = container.get_mut("properties").and_then(Value::as_object_mut) else { continue };
        inner.remove("instanceView");
        for list in ["command", "ports", "environmentVariables"] {
            inner.entry(list).or_insert_with(|| json!([]));
        }
        for variable in inner.get_mut("environmentVariables").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(fields) = variable.as_object_mut() {
                fields.remove("secureValue");
            }
        }
    }
    shown
}

fn forget(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|field| forget(field, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A PATCH changes tags, and nothing else.
pub(crate) fn patch_tags(body: &mut Value, patch: &Value) {
    if let (Some(fields), Some(tags)) = (body.as_object_mut(), patch.get("tags").and_then(Value::as_object)) {
        fields.insert("tags".into(), Value::Object(tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()));
    }
}
