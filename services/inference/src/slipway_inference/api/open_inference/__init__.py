"""The Open Inference Protocol, version 2 over REST, with the binary tensor extension.

https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
"""
