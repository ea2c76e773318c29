"""Mirrors, trees and work directories, through pygit2."""
