"""What signals mean: COVESA VSS paths, units, plausible ranges, deadbands, providers' labels."""
