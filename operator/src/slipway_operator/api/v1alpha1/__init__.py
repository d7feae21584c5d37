"""`serving.slipway.dev/v1alpha1`: its names, and the models from which its CRD is generated."""

GROUP = "serving.slipway.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ModelDeployment"
PLURAL = "modeldeployments"
