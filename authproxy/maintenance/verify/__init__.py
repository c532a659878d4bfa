"""Verification: reads what is stored, says what is damaged, who is hit and what repairs it, and repairs it on request.

It reads through the driver alone, knows neither HTTP nor configuration, and writes nothing unless it is asked to.
"""
