"""The control loop: watches fill a work queue, workers reconcile what is in it."""
