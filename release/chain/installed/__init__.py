"""The gate `installed`: the packages in the image are those of the lockfile."""
