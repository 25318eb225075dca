#!/usr/bin/env python3
"""Reads and fills the cache of models with Hugging Face's own package, beside ecgpu.

    tests/hub_cache.py ENDPOINT CACHE local|fetch|scan links|copies OWNER/NAME REVISION

`local` prints the path of model.safetensors in the cache without a request, `fetch` downloads it if need be, `scan` prints
repository, commit, branches and number of files of all that the package finds in the cache.
"""

import os
import sys

endpoint, cache, how, links, repository, revision = sys.argv[1:]
os.environ |= {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": cache, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_SYMLINKS": "1" if links == "copies" else "0"}
os.environ |= {"HF_HUB_OFFLINE": "0" if how == "fetch" else "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}

import huggingface_hub  # noqa: E402, as it reads the environment when it is imported

if how == "scan":
    for repo in huggingface_hub.scan_cache_dir(cache).repos:
        for commit in repo.revisions:
            print(repo.repo_id, commit.commit_hash, *sorted(commit.refs), len(commit.files))
else:
    print(huggingface_hub.hf_hub_download(repository, "model.safetensors", revision=revision, local_files_only=how == "local"))
