"""The gate `audit`: known vulnerabilities of the packages in the image."""
