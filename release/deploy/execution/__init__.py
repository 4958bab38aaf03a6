"""Carry out a plan, or finish an interrupted one."""
