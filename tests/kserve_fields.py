"""Checks the resources of KServe in a file against the models of the package kserve: every field is known, and every required
one is there. Containers are Kubernetes' own and are printed as pods, for its validator.

    kserve_fields.py kserve-VERSION.whl FILE.yaml PODS.yaml
"""

import ast
import re
import sys
import zipfile

import yaml

wheel, path, pods_path = sys.argv[1:]
models, pods = {}, []
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if re.fullmatch(r"kserve/models/v1\w+\.py", name):
            for node in ast.parse(archive.read(name)).body:
                if isinstance(node, ast.ClassDef):
                    models[node.name] = node


def table(node, name):
    """Returns a dictionary that the class defines."""
    for item in node.body:
        if isinstance(item, ast.Assign) and item.targets[0].id == name:
            return ast.literal_eval(item.value)
    raise KeyError(name)


def check(value, kind, place):
    if element := re.fullmatch(r"list\[(\w+)\]", kind):
        assert isinstance(value, list), f"{place} is no list"
        for index, item in enumerate(value):
            check(item, element[1], f"{place}[{index}]")
    elif kind == "V1Container":
        name = value["name"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [value]}}
        pods.append(pod)
    elif kind in models:
        types, names = table(models[kind], "openapi_types"), table(models[kind], "attribute_map")
        fields = {written: types[field] for field, written in names.items()}
        assert isinstance(value, dict), f"{place} is no object"
        for name, item in value.items():
            assert name in fields, f"{place} has no field {name}"
            check(item, fields[name], f"{place}.{name}")
    elif kind in ("str", "int", "bool", "float"):
        assert type(value).__name__ == kind, f"{place} is no {kind}"
    else:
        assert kind in ("V1ObjectMeta", "K8sIoApimachineryPkgApisMetaV1ObjectMeta") or kind.startswith("dict("), (place, kind)


for resource in yaml.safe_load_all(open(path)):
    group, version = resource["apiVersion"].split("/")
    assert group == "serving.kserve.io", group
    name = version.capitalize() + resource["kind"]
    check(resource, name, resource["kind"])
    print(f"{resource['kind']}: the fields are those of {name}")
yaml.safe_dump_all(pods, open(pods_path, "w"))
