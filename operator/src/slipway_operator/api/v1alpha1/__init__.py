"""`serving.slipway.dev/v1alpha1`: names of the API, and the models its schema is generated from."""

GROUP = "serving.slipway.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ModelDeployment"
PLURAL = "modeldeployments"
