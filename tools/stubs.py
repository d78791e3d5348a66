"""Generate type stubs for the xDS messages that Plait uses into `typings/`.

The wheel of message classes has no stubs. Its classes carry their descriptors, though, and mypy-protobuf is a protoc
plugin that needs nothing else: so the plugin is handed the descriptors of every module that the sources import,
and of all those depend on.
"""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor import FileDescriptor

ROOT = Path(__file__).parent.parent
OUT = ROOT / "typings"
OWNERS = ("envoy", "xds", "udpa", "validate", "google.rpc", "google.type", "google.api", "opentelemetry")


def imported_modules() -> set[str]:
    """Names of all generated message modules that the sources and tests import."""
    found: set[str] = set()
    for file in [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("bench/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(OWNERS):
                found |= {f"{node.module}.{name.name}" for name in node.names if name.name.endswith("_pb2")}
                if node.module.endswith("_pb2"):
                    found.add(node.module)
            elif isinstance(node, ast.Import):
                found |= {name.name for name in node.names if name.name.endswith("_pb2")}
    return {name for name in found if name.startswith(OWNERS)}


def closure(files: list[FileDescriptor]) -> dict[str, FileDescriptor]:
    """The files and all they depend on, dependencies first."""
    ordered: dict[str, FileDescriptor] = {}

    def visit(file: FileDescriptor) -> None:
        if file.name in ordered:
            return
        for dependency in file.dependencies:
            visit(dependency)
        ordered[file.name] = file

    for file in files:
        visit(file)
    return ordered


def main() -> None:
    """Write the stubs and a marker file that says they are complete."""
    roots = [importlib.import_module(name).DESCRIPTOR for name in sorted(imported_modules())]
    files = closure(roots)
    request = plugin_pb2.CodeGeneratorRequest(parameter="quiet")
    request.file_to_generate.extend(name for name in files if not name.startswith("google/protobuf/"))
    for file in files.values():
        described = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(described)
        request.proto_file.append(described)
    plugin = Path(sys.executable).parent / "protoc-gen-mypy"
    answer = subprocess.run([str(plugin)], input=request.SerializeToString(), capture_output=True, check=True)
    response = plugin_pb2.CodeGeneratorResponse.FromString(answer.stdout)
    for generated in response.file:
        target = OUT / generated.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(generated.content)
    (OUT / ".complete").write_text("")
    sys.stdout.write(f"{len(response.file)} stubs\n")


if __name__ == "__main__":
    main()
