"""Files of operators and other programs: read, watched for changes, replaced atomically, with their owner's rights."""
