"""zot's access control as rules of ours."""
