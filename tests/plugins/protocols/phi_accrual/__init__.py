"""Tests of the phi accrual failure detector."""
